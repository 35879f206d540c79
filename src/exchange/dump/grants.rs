//! ACLs as the catalog prints them, read as grants.

/// The letters of an ACL with the words of GRANT.
const LETTERS: &[(char, &str)] = &[
    ('r', "SELECT"),
    ('a', "INSERT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('U', "USAGE"),
    ('C', "CREATE"),
];

/// Who was granted what, as GRANT writes both; without what the owner has anyway. `owner` is quoted where it must be.
pub fn granted(acl: &str, owner: &str) -> Vec<(String, String)> {
    let mut grants = Vec::new();
    for item in elements(acl) {
        let Some((to, letters)) = split(&item) else { continue };
        let words: Vec<&str> =
            LETTERS.iter().filter(|(letter, _)| letters.contains(*letter)).map(|(_, word)| *word).collect();
        if to != owner && !words.is_empty() {
            let to = if to.is_empty() { "PUBLIC".to_string() } else { to.to_string() };
            grants.push((to, words.join(", ")));
        }
    }
    grants
}

/// The elements of an array in its text form.
fn elements(array: &str) -> Vec<String> {
    let inner = array.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or("");
    let (mut all, mut now, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => now.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => all.push(std::mem::take(&mut now)),
            letter => now.push(letter),
        }
    }
    if !now.is_empty() {
        all.push(now);
    }
    all
}

/// Grantee and letters of `who=what/by`; a quoted name may hold `=`.
fn split(item: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let at = item.char_indices().find(|(_, letter)| {
        is_quoted ^= *letter == '"';
        *letter == '=' && !is_quoted
    });
    let (to, rest) = item.split_at(at?.0);
    let letters = rest[1..].split('/').next().unwrap_or("");
    Some((to, letters))
}

#[cfg(test)]
mod tests {
    use super::granted;

    #[test]
    fn acls_are_read_as_grants() {
        let acl = r#"{ann=arwdDxt/ann,=r/ann,"\"a=b\"=ar/ann",bob=UC/ann}"#;
        let words = |to: &str, what: &str| (to.to_string(), what.to_string());
        let expected = [words("PUBLIC", "SELECT"), words("\"a=b\"", "SELECT, INSERT"), words("bob", "USAGE, CREATE")];
        assert_eq!(granted(acl, "ann"), expected);
        assert!(granted("{}", "ann").is_empty());
    }
}
