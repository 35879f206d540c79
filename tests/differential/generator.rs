//! Statements by chance, from the grammar in `testdata/differential/grammar.txt`: the same seed makes the same ones.

use std::collections::HashMap;

/// How deep expressions go before the shortest ways out are taken.
const DEPTH_MAX: usize = 5;

/// Numbers by chance: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }
    /// One of `count` numbers from 0.
    pub fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % count as u64) as usize
    }
}

/// A piece of an alternative.
enum Piece {
    Text(String),
    Name(String),
}

/// One line of the grammar.
struct Alternative {
    /// Tables that can be seen from here on.
    tables: Option<String>,
    pieces: Vec<Piece>,
    depth: usize,
}

/// What may stand for each name.
pub struct Grammar(HashMap<String, Vec<Alternative>>);

impl Grammar {
    pub fn parse(text: &str) -> Grammar {
        let mut sections: HashMap<String, Vec<Alternative>> = HashMap::new();
        let mut section = String::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let inner = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let is_name =
                |inner: &&str| inner.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == ' ');
            match inner.filter(is_name) {
                Some(name) => section = name.to_string(),
                None => sections.entry(section.clone()).or_default().push(alternative(line)),
            }
        }
        let mut grammar = Grammar(sections);
        while grammar.deepen() {}
        grammar
    }

    /// Brings the depths nearer to what they are; whether any was wrong.
    fn deepen(&mut self) -> bool {
        let least = |alternatives: &[Alternative]| alternatives.iter().map(|one| one.depth).min().unwrap_or(usize::MAX);
        let depths: HashMap<String, usize> =
            self.0.iter().map(|(name, alternatives)| (name.clone(), least(alternatives))).collect();
        let mut changed = false;
        for alternative in self.0.values_mut().flatten() {
            let below = alternative.pieces.iter().map(|piece| match piece {
                Piece::Text(_) => 0,
                Piece::Name(name) => match depths.get(name) {
                    Some(depth) => depth.saturating_add(1),
                    None => panic!("the grammar does not say what <{name}> is"),
                },
            });
            let depth = below.max().unwrap_or(0);
            changed |= depth != alternative.depth;
            alternative.depth = depth;
        }
        changed
    }

    /// A statement.
    pub fn statement(&self, chance: &mut Chance) -> String {
        let mut out = String::new();
        self.expand("statement", "", DEPTH_MAX, chance, &mut out);
        out
    }

    fn expand(&self, name: &str, tables: &str, depth: usize, chance: &mut Chance, out: &mut String) {
        let of_tables = tables.chars().filter_map(|table| self.0.get(&format!("{name} of {table}")));
        let all: Vec<&Alternative> = self.0.get(name).into_iter().chain(of_tables).flatten().collect();
        let shallow: Vec<&Alternative> = all.iter().copied().filter(|one| one.depth <= depth).collect();
        let least = all.iter().map(|one| one.depth).min().unwrap_or(0);
        let from =
            if shallow.is_empty() { all.into_iter().filter(|one| one.depth == least).collect() } else { shallow };
        let chosen = from[chance.below(from.len())];
        let tables = chosen.tables.as_deref().unwrap_or(tables);
        for piece in &chosen.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Name(name) => self.expand(name, tables, depth.saturating_sub(1), chance, out),
            }
        }
    }
}

fn alternative(line: &str) -> Alternative {
    let (tables, mut rest) = match line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        Some((tables, rest)) => (Some(tables.to_string()), rest),
        None => (None, line),
    };
    let mut pieces = Vec::new();
    let mut text = String::new();
    while let Some(at) = rest.find('<') {
        text += &rest[..at];
        let name = rest[at + 1..].split('>').next().unwrap_or_default();
        let ends = rest[at + 1 + name.len()..].starts_with('>');
        if ends && !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Name(name.to_string()));
            rest = &rest[at + name.len() + 2..];
        } else {
            text.push('<');
            rest = &rest[at + 1..];
        }
    }
    pieces.push(Piece::Text(text + rest));
    Alternative { tables, pieces, depth: usize::MAX }
}
