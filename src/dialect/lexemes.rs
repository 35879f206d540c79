//! What PostgreSQL's grammar knows and the parser does not, put in other lexemes before it reads them.
//!
//! Where those lexemes have to say what the parser's syntax tree has no place for, they hold a name that no client
//! writes: of BETWEEN SYMMETRIC in front of the first bound, of a frame's EXCLUDE first among the PARTITION BY keys.

use sqlparser::ast::{BinaryOperator, Expr, Ident};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace, Word};

/// Stands before the first bound of BETWEEN SYMMETRIC, with `@@` between.
const SYMMETRIC: &str = "evesql:symmetric";
/// Begins the name of an EXCLUDE clause.
const EXCLUDE: &str = "evesql:exclude ";

type Pass = fn(Vec<TokenWithSpan>) -> Vec<TokenWithSpan>;

/// What is put in other words, each with a word of those without which it is not there.
const PASSES: [(&str, Pass); 7] = [
    ("isnull", spelled_out),
    ("table", tables),
    ("between", symmetric_bounds),
    ("exclude", frames),
    ("select", empty_lists),
    ("conflict", conflicts),
    ("in", lists_of_queries),
];

/// The lexemes of a text as the parser takes them.
///
/// # Errors
/// The lexeme that may not stand where it does.
pub(super) fn understandable(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, TokenWithSpan> {
    let mut tokens = joined_strings(tokens)?;
    for (word, pass) in PASSES {
        if tokens.iter().any(|token| is(token, word)) {
            tokens = pass(tokens);
        }
    }
    let solid = || tokens.iter().filter(|token| is_solid(token));
    let has_typed = solid().zip(solid().skip(1)).any(|(name, string)| is_type_name(name) && is_string(string));
    Ok(if has_typed { typed_strings(tokens) } else { tokens })
}

/// An unquoted word.
fn word(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

fn is(token: &TokenWithSpan, wanted: &str) -> bool {
    word(token).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
}

fn is_one_of(token: &TokenWithSpan, wanted: &[&str]) -> bool {
    wanted.iter().any(|wanted| is(token, wanted))
}

fn is_solid(token: &TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_))
}

/// The next lexeme that is no whitespace, from this place on.
fn next_solid(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    (from..tokens.len()).find(|at| is_solid(&tokens[*at]))
}

fn last_solid(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    tokens.iter().rev().find(|token| is_solid(token))
}

fn at(place: &TokenWithSpan, token: Token) -> TokenWithSpan {
    TokenWithSpan { token, span: place.span }
}

fn quoted(name: String) -> Token {
    Token::Word(Word { value: name, quote_style: Some('"'), keyword: Keyword::NoKeyword })
}

/// `'a'` and `'b'` with a line's end between them are one string; without, they are an error.
fn joined_strings(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let Token::SingleQuotedString(text) = &token.token else {
            all.push(token);
            continue;
        };
        let before = all.iter().rposition(is_solid);
        let spaces = before.map_or(0, |before| before + 1);
        let breaks = all[spaces..].iter().any(|space| {
            let Token::Whitespace(space) = &space.token else { return false };
            matches!(space, Whitespace::Newline | Whitespace::SingleLineComment { .. })
        });
        let first = before.and_then(|before| all.get_mut(before));
        match first {
            Some(TokenWithSpan { token: Token::SingleQuotedString(first), span }) if breaks => {
                first.push_str(text);
                span.end = token.span.end;
            }
            // Its escapes are read already, those of the second part are not.
            Some(TokenWithSpan { token: Token::EscapedStringLiteral(first), span })
                if breaks && !text.contains('\\') =>
            {
                first.push_str(text);
                span.end = token.span.end;
            }
            Some(TokenWithSpan { token: Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_), .. }) => {
                return Err(token);
            }
            _ => all.push(token),
        }
    }
    Ok(all)
}

/// `x ISNULL`, which the parser would take for an alias, as `x IS NULL`.
fn spelled_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 1);
    for token in tokens {
        let is_name = last_solid(&all).is_none_or(|before| before.token == Token::Period || is(before, "as"));
        if !is_name && is(&token, "isnull") {
            all.extend(["IS", "NULL"].map(|word| at(&token, Token::make_keyword(word))));
        } else {
            all.push(token);
        }
    }
    all
}

/// `TABLE t`, where a query may stand, as `SELECT * FROM t`.
fn tables(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 3);
    // Where the statement began.
    let mut start = 0;
    for (place, token) in tokens.iter().enumerate() {
        let named = next_solid(&tokens, place + 1).is_some_and(|next| matches!(tokens[next].token, Token::Word(_)));
        let creates = || next_solid(&all, start).is_some_and(|first| is(&all[first], "create"));
        let is_query = match last_solid(&all[start..]) {
            None => true,
            Some(before) if before.token == Token::LParen => true,
            Some(before) if is(before, "as") => creates(),
            Some(before) => is_one_of(before, &["union", "intersect", "except"]),
        };
        let after_all = || {
            let mut solid = all[start..].iter().rev().filter(|token| is_solid(token));
            solid.next().is_some_and(|last| is_one_of(last, &["all", "distinct"]))
                && solid.next().is_some_and(|word| is_one_of(word, &["union", "intersect", "except"]))
        };
        if named && is(token, "table") && (is_query || after_all()) {
            let star = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            all.extend(star.map(|made| at(token, made)));
        } else {
            all.push(token.clone());
        }
        if token.token == Token::SemiColon {
            start = all.len();
        }
    }
    all
}

/// `INSERT .. SELECT 1 ON CONFLICT ..`: without a FROM the parser takes ON for the name of the last column.
fn conflicts(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 2);
    // Whether a SELECT list outside of parentheses has begun and not ended.
    let (mut depth, mut in_list) = (0, false);
    for (place, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::SemiColon => in_list = false,
            _ if depth == 0 && is(token, "select") => in_list = true,
            _ if depth == 0 && is_one_of(token, &["from", "where", "group", "having", "order", "limit", "offset"]) => {
                in_list = false;
            }
            _ => {}
        }
        let conflicts =
            is(token, "on") && next_solid(&tokens, place + 1).is_some_and(|next| is(&tokens[next], "conflict"));
        if depth == 0 && in_list && conflicts {
            all.extend(["WHERE", "TRUE"].map(|word| at(token, Token::make_keyword(word))));
        }
        all.push(token.clone());
    }
    all
}

/// `SELECT` of nothing and from nothing, whose one row has no columns: the parser knows an empty list before FROM alone.
fn empty_lists(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    const ENDS: [&str; 11] =
        ["where", "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset", "fetch"];
    let ends = |next: &TokenWithSpan| {
        matches!(next.token, Token::SemiColon | Token::RParen | Token::EOF) || is_one_of(next, &ENDS)
    };
    let is_empty = |place: usize| {
        is(&tokens[place], "select")
            && next_solid(&tokens, place + 1).is_none_or(|next| ends(&tokens[next]))
            && !last_solid(&tokens[..place]).is_some_and(|before| before.token == Token::Period || is(before, "as"))
    };
    if !(0..tokens.len()).any(is_empty) {
        return tokens;
    }
    let mut all = Vec::with_capacity(tokens.len() + 8);
    for (place, token) in tokens.iter().enumerate() {
        all.push(token.clone());
        if is_empty(place) {
            let (from, select) = (Token::make_keyword("FROM"), Token::make_keyword("SELECT"));
            let one = Token::Number("1".into(), false);
            let row = [from, Token::LParen, select, one, Token::RParen, quoted("evesql:row".into())];
            all.extend(row.map(|made| at(token, made)));
        }
    }
    all
}

fn is_type_name(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == Keyword::NoKeyword)
}

fn is_string(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
}

/// `mood 'ok'`: a string of a type that the parser does not know, as `CAST('ok' AS mood)`.
fn typed_strings(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 8);
    let (mut start, mut place) = (0, 0);
    while let Some(token) = tokens.get(place) {
        let string = next_solid(&tokens, place + 1).filter(|next| is_type_name(token) && is_string(&tokens[*next]));
        // In other commands words that the parser does not know may have strings behind them.
        let is_query = next_solid(&all, start)
            .is_some_and(|first| is_one_of(&all[first], &["select", "with", "insert", "update", "delete", "values"]));
        match string.filter(|_| is_query) {
            Some(string) => {
                let mut name = vec![token.clone()];
                while matches!(all.last().map(|last| &last.token), Some(Token::Period)) && all.len() > start + 1 {
                    name.splice(0..0, all.split_off(all.len() - 2));
                }
                let keyword = |word| at(token, Token::make_keyword(word));
                all.extend([keyword("CAST"), at(token, Token::LParen), tokens[string].clone(), keyword("AS")]);
                all.extend(name);
                all.push(at(token, Token::RParen));
                place = string;
            }
            None => all.push(token.clone()),
        }
        if token.token == Token::SemiColon {
            start = all.len();
        }
        place += 1;
    }
    all
}

/// Marks the first bound of BETWEEN SYMMETRIC; ASYMMETRIC says nothing.
fn symmetric_bounds(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 1);
    for token in tokens {
        let after_between = last_solid(&all).is_some_and(|before| is(before, "between"));
        if after_between && is(&token, "symmetric") {
            all.extend([quoted(SYMMETRIC.into()), Token::AtAt].map(|made| at(&token, made)));
        } else if !(after_between && is(&token, "asymmetric")) {
            all.push(token);
        }
    }
    all
}

/// The first bound of BETWEEN SYMMETRIC without its mark; `None` for other bounds.
pub(super) fn symmetric_bound(low: &Expr) -> Option<Expr> {
    let Expr::BinaryOp { left, op, right } = low else { return None };
    match left.as_ref() {
        Expr::Identifier(Ident { value, quote_style: Some(_), .. }) if value == SYMMETRIC => {
            (*op == BinaryOperator::AtAt).then(|| right.as_ref().clone())
        }
        // Operators that bind as tight as the mark's have it to their left.
        left => {
            let left = Box::new(symmetric_bound(left)?);
            Some(Expr::BinaryOp { left, op: op.clone(), right: right.clone() })
        }
    }
}

/// Takes the EXCLUDE of a frame to where the parser lets it stand.
fn frames(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut place = 0;
    while let Some(token) = tokens.get(place) {
        let clause = is(token, "exclude").then(|| excluded(&tokens, place)).flatten();
        let open = clause.as_ref().and_then(|_| window_start(&all));
        match (clause, open) {
            (Some((what, end)), Some(open)) => {
                let by = next_solid(&all, open + 1).filter(|at| is(&all[*at], "partition"));
                let by = by.and_then(|partition| next_solid(&all, partition + 1));
                let mark = at(token, quoted(format!("{EXCLUDE}{what}")));
                match by {
                    Some(by) => {
                        all.splice(by + 1..by + 1, [mark, at(token, Token::Comma)]);
                    }
                    None => {
                        let words = ["PARTITION", "BY"].map(|word| at(token, Token::make_keyword(word)));
                        let after_name = next_solid(&all, open + 1)
                            .filter(|first| !is_one_of(&all[*first], &["order", "rows", "range", "groups"]));
                        let start = after_name.unwrap_or(open) + 1;
                        all.splice(start..start, words.into_iter().chain([mark]));
                    }
                }
                place = end;
            }
            _ => {
                all.push(token.clone());
                place += 1;
            }
        }
    }
    all
}

/// What an EXCLUDE clause names, and where the parenthesis behind it is.
fn excluded(tokens: &[TokenWithSpan], place: usize) -> Option<(&'static str, usize)> {
    let mut words = Vec::new();
    let mut place = place + 1;
    loop {
        place = next_solid(tokens, place)?;
        match word(&tokens[place]) {
            Some(word) if words.len() < 2 => words.push(word.to_ascii_lowercase()),
            _ if tokens[place].token == Token::RParen => break,
            _ => return None,
        }
        place += 1;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let what = match words.as_slice() {
        ["current", "row"] => "CURRENT ROW",
        ["group"] => "GROUP",
        ["ties"] => "TIES",
        ["no", "others"] => "NO OTHERS",
        _ => return None,
    };
    Some((what, place))
}

/// Where the parenthesis is that was opened last, if a window begins there.
fn window_start(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0;
    let open = tokens.iter().rposition(|token| {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth -= 1,
            _ => {}
        }
        depth < 0
    })?;
    last_solid(&tokens[..open]).filter(|before| is_one_of(before, &["over", "as"])).map(|_| open)
}

/// The EXCLUDE clause that a PARTITION BY key stands for.
pub(super) fn excluded_by(key: &Expr) -> Option<&str> {
    match key {
        Expr::Identifier(Ident { value, quote_style: Some(_), .. }) => value.strip_prefix(EXCLUDE),
        _ => None,
    }
}

/// `IN ((SELECT ..), 2)`: the parser takes the first of the list for the whole, unless it looks like a value.
fn lists_of_queries(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut closing = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let mut before = all.iter().rev().filter(|token| is_solid(token));
        let in_list = before.next().is_some_and(|open| open.token == Token::LParen)
            && before.next().is_some_and(|word| is(word, "in"));
        if in_list
            && token.token == Token::LParen
            && let Some(end) = end_of_first(&tokens, place)
        {
            all.push(at(token, Token::make_word("coalesce", None)));
            all.push(token.clone());
            closing.push(end);
        }
        all.push(token.clone());
        if closing.contains(&place) {
            all.push(token.clone());
        }
    }
    all
}

/// Where a query in parentheses ends that is the first value of a list or a part of it.
fn end_of_first(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut first = next_solid(tokens, open + 1)?;
    while tokens[first].token == Token::LParen {
        first = next_solid(tokens, first + 1)?;
    }
    if !is_one_of(&tokens[first], &["select", "with", "values"]) {
        return None;
    }
    let mut depth = 0;
    let end = (open..tokens.len()).find(|place| {
        match tokens[*place].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    let next = next_solid(tokens, end + 1)?;
    let goes_on = tokens[next].token != Token::RParen && word(&tokens[next]).is_none();
    goes_on.then_some(end)
}
