//! Whether a JSON value is as a JSON Schema says: as much of draft 2020-12 as `docs/rules.schema.json` uses.
//!
//! A keyword that is not known here is a mistake of the schema's author and panics; nothing is passed over. Source: JSON Schema 2020-12,
//! "Core" and "Validation".

use serde_json::{Map, Value};

/// The schema of `docs/rules.schema.json`.
///
/// # Panics
/// When the file is not JSON.
#[must_use]
pub fn of_rules() -> Value {
    serde_json::from_str(include_str!("../../docs/rules.schema.json")).expect("the schema is JSON")
}

/// What is wrong with a value, with its place in it; empty if nothing is.
///
/// # Panics
/// When the schema uses a keyword that is not known here.
#[must_use]
pub fn check(schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    Checker { root: schema, wrong: &mut wrong }.check(schema, value, "$");
    wrong
}

struct Checker<'s> {
    root: &'s Value,
    wrong: &'s mut Vec<String>,
}

impl Checker<'_> {
    fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        let Value::Object(schema) = schema else { panic!("a schema that is no object: {schema}") };
        for (keyword, wanted) in schema {
            self.keyword(schema, keyword, wanted, value, at);
        }
    }

    fn keyword(&mut self, schema: &Map<String, Value>, keyword: &str, wanted: &Value, value: &Value, at: &str) {
        let good = match keyword {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let path =
                    wanted.as_str().and_then(|path| path.strip_prefix('#')).expect("a reference into the schema");
                let target = self.root.pointer(path).unwrap_or_else(|| panic!("no {path}"));
                self.check(target, value, at);
                true
            }
            "type" => is_of_type(wanted, value),
            "const" => value == wanted,
            "enum" => wanted.as_array().expect("a list").contains(value),
            "minimum" => value.as_f64().is_none_or(|n| n >= wanted.as_f64().expect("a number")),
            "pattern" => {
                assert_eq!(wanted, "^([0-9a-f]{2})*$", "the one pattern that is known here");
                let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
                value.as_str().is_none_or(|text| text.len() % 2 == 0 && text.bytes().all(digit))
            }
            "required" => {
                let names = wanted.as_array().expect("a list").iter();
                value.as_object().is_none_or(|o| names.filter_map(Value::as_str).all(|name| o.contains_key(name)))
            }
            "anyOf" => wanted.as_array().expect("a list").iter().any(|one| {
                let mut wrong = Vec::new();
                Checker { root: self.root, wrong: &mut wrong }.check(one, value, at);
                wrong.is_empty()
            }),
            "properties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        self.check(schema, property, &format!("{at}.{name}"));
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(wanted, &Value::Bool(false));
                let known = schema.get("properties").and_then(Value::as_object);
                let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
                value.as_object().is_none_or(|o| o.keys().all(is_known))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(wanted, item, &format!("{at}[{index}]"));
                }
                true
            }
            other => panic!("keyword {other} is not known here"),
        };
        if !good {
            self.wrong.push(format!("{at}: {keyword} {wanted}: {value}"));
        }
    }
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    match wanted.as_str().expect("one type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("type {other} is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(document: &str) -> Vec<String> {
        check(&of_rules(), &serde_json::from_str(document).unwrap())
    }

    #[test]
    fn what_the_schema_takes_and_refuses() {
        let with = |rule: &str| {
            let head = r#"{"schema":"oxtables-rules/1","family":"ipv4","tables":[{"name":"filter","whole":true,"#;
            wrong(&format!(r#"{head}"chains":[{{"name":{{"hex":"ff"}},"rules":[{rule}]}}]}}]}}"#))
        };
        assert_eq!(with(r#"{"text":"-A x"},{"opaque":"y","handle":3}"#), [""; 0]);
        assert_eq!(with(r#"{"parts":{"matches":[{"name":"tcp","options":[{"name":"syn"}]}]}}"#), [""; 0]);
        for bad in
            [r"{}", r#"{"text":3}"#, r#"{"text":{"hex":"f"}}"#, r#"{"text":"","more":1}"#, r#"{"text":"","handle":-1}"#]
        {
            assert!(!with(bad).is_empty(), "{bad}");
        }
        assert!(!wrong(r#"{"schema":"other/1","family":"ipv4","tables":[]}"#).is_empty());
        assert!(!wrong(r#"{"schema":"oxtables-rules/1","family":"ipv5","tables":[]}"#).is_empty());
    }
}
