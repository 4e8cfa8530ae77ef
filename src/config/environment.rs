//! `${NAME}` in the strings of a configuration (pure: the environment is handed in).
//!
//! It works on the parsed document, so a value can't break out of its string and spans stay those of the file.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;

/// Replaces the references in every string. Returns the offsets of the strings that were nothing but one reference:
/// what they hold is not written in the file.
pub(super) fn substitute(
    document: &mut Spanned<DeTable<'_>>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<usize>, ConfigError> {
    let mut references = Vec::new();
    for (_, value) in document.get_mut().iter_mut() {
        visit(value, &environment, &mut references)?;
    }
    Ok(references)
}

fn visit(
    value: &mut Spanned<DeValue<'_>>,
    environment: &impl Fn(&str) -> Option<String>,
    references: &mut Vec<usize>,
) -> Result<(), ConfigError> {
    let offset = value.span().start;
    match value.get_mut() {
        DeValue::String(text) if text.contains('$') => {
            let is_reference = text.starts_with("${") && text.find('}') == Some(text.len() - 1);
            if is_reference {
                references.push(offset);
            }
            let expanded = expand(text, environment).map_err(|message| ConfigError::at_offset(offset, message))?;
            *text = expanded.into();
        }
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                visit(item, environment, references)?;
            }
        }
        DeValue::Table(table) => {
            for (_, value) in table.iter_mut() {
                visit(value, environment, references)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Replaces each `${NAME}`; `$${` stands for `${` itself.
fn expand(text: &str, environment: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &reference[2..];
            continue;
        }
        expanded.push_str(before);
        let Some((name, after)) = reference[2..].split_once('}') else {
            return Err("`${` without `}`; write `$${` for a literal `${`".to_owned());
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!(
                "`${{{name}}}` is not the name of an environment variable; write `$${{` for a literal `${{`"
            ));
        }
        let value = environment(name).ok_or_else(|| format!("the environment variable {name} is not set"))?;
        expanded.push_str(&value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands() {
        let environment = |name: &str| (name == "A").then(|| "x\"${B}\n".to_owned());
        for (text, expanded) in [
            ("plain $ and $$", Ok("plain $ and $$")),
            ("${A}", Ok("x\"${B}\n")),
            ("<${A}${A}>", Ok("<x\"${B}\nx\"${B}\n>")),
            ("$${A}", Ok("${A}")),
            ("${B}", Err("the environment variable B is not set")),
            ("${A", Err("`${` without `}`; write `$${` for a literal `${`")),
            ("${}", Err("`${}` is not the name of an environment variable; write `$${` for a literal `${`")),
            ("${a b}", Err("`${a b}` is not the name of an environment variable; write `$${` for a literal `${`")),
        ] {
            assert_eq!(expand(text, &environment).as_deref().map_err(String::as_str), expanded, "{text}");
        }
    }
}
