//! HTML pages that need nothing but themselves.

use super::Origin;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ddd;padding:.25em .7em;text-align:right}\
    td:first-child,th:first-child{text-align:left}code{background:#f3f3f3;padding:.1em .3em}svg{max-width:100%;height:auto}";

/// A page with this text as its body.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><body>{body}</body></html>\n"
    )
}

/// As a sentence begins: when and where.
pub(crate) fn origin(origin: &Origin) -> String {
    format!("{}, on {}", date(origin.began_at), escaped(&origin.machine))
}

/// What was found, or what is said if that is nothing.
pub(crate) fn findings(findings: &[String], none: &str) -> String {
    if findings.is_empty() {
        return format!("<p>{none}</p>");
    }
    let items: String = findings.iter().map(|finding| format!("<li>{}", escaped(finding))).collect();
    format!("<p>Found:</p><ul>{items}</ul>")
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A day, from seconds since 1970.
fn date(seconds: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
    }
}
