//! Rules to JSON and back: what `--json` prints is as the schema says, and brings back what a file of `iptables-save` brings back.

use lab::article;
use lab::compare::parting;
use lab::dump::Dump;
use lab::generate::corpus::{files, is_v6};
use lab::generate::extension::Subject;
use lab::generate::{Rule, TABLES, USER_CHAINS};
use lab::oracle::{Call, Outcome, Programs};
use lab::random::Random;
use lab::root::test_as_root;
use lab::schema;
use lab::side::Side;
use serde_json::Value;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
const ARTICLES: &[&str] = &[
    include_str!("../cases/articles/1-common-rules.cases"),
    include_str!("../cases/articles/2-whitelist-and-rate.cases"),
    include_str!("../cases/articles/3-secure-your-servers.cases"),
    include_str!("../cases/articles/4-in-and-out.cases"),
    include_str!("../cases/articles/5-hands-on.cases"),
];

/// Three namespaces for ours: where the rules are, where a file brings them, where JSON does.
struct Trip {
    sides: [Side; 3],
    rules: usize,
}

impl Trip {
    fn new() -> Self {
        Self { sides: std::array::from_fn(|_| Side::new(Programs::ours()).expect("a namespace")), rules: 0 }
    }

    fn flush(&mut self) {
        self.sides.iter_mut().for_each(|side| side.flush().expect("flush"));
    }

    fn run(&self, side: usize, call: &Call) -> Outcome {
        self.sides[side].run(call).expect("runs")
    }

    /// Takes what is in the first namespace through both forms and compares.
    fn there_and_back(&mut self, v6: bool, what: &str) {
        let [save, restore] =
            if v6 { ["ip6tables-save", "ip6tables-restore"] } else { ["iptables-save", "iptables-restore"] };
        let (text, json) = (self.run(0, &Call::new([save, "-c"])), self.run(0, &Call::new([save, "--json"])));
        assert_eq!((text.code, json.code), (0, 0), "{what}: {text:?} {}", String::from_utf8_lossy(&json.stderr));
        let document: Value = serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(schema::check(&schema::of_rules(), &document), [""; 0], "{what}");
        let by_text = self.run(1, &Call::new([restore, "-c"]).reading(text.stdout));
        let by_json = self.run(2, &Call::new(["oxtables", "restore", "--json", "-c"]).reading(json.stdout));
        assert_eq!(by_text.code, 0, "{what}: {}", String::from_utf8_lossy(&by_text.stderr));
        assert_eq!(by_json.code, 0, "{what}: {}", String::from_utf8_lossy(&by_json.stderr));
        let (a, b) = (self.dump(1), self.dump(2));
        assert_eq!(parting(&a.lines(), &b.lines()), None, "{what}");
        self.rules += b.rule_count();
        let again = self.run(2, &Call::new([save, "--json"]));
        let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
        // What a file brings back is the measure: stock prints a few rules so that they read as others, and so do we.
        let of_text = self.run(1, &Call::new([save, "--json"]));
        let of_text: Value = serde_json::from_slice(&of_text.stdout).expect("JSON");
        let (again, of_text) = (without_handles(again), without_handles(of_text));
        let lines = |value: &Value| -> Vec<String> {
            serde_json::to_string_pretty(value).expect("JSON").lines().map(str::to_owned).collect()
        };
        assert_eq!(parting(&lines(&of_text), &lines(&again)), None, "{what}");
    }

    fn dump(&mut self, side: usize) -> Dump {
        self.sides[side].dump().expect("dump")
    }
}

/// The document without what the kernel gives out anew.
fn without_handles(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.remove("handle");
            map.values_mut().for_each(|v| *v = without_handles(v.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|v| *v = without_handles(v.take())),
        _ => {}
    }
    value
}

/// A rule of each form that `--json` has for it brings the same rule: with its text alone, and with its parts alone.
fn alone(trip: &mut Trip, v6: bool, field: &str, what: &str) {
    let save = if v6 { "ip6tables-save" } else { "iptables-save" };
    let json = trip.run(0, &Call::new([save, "--json"]));
    let mut document: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    drop_field(&mut document, field);
    trip.sides[2].flush().expect("flush");
    let call = Call::new(["oxtables", "restore", "--json", "-c"]).reading(document.to_string());
    let outcome = trip.run(2, &call);
    assert_eq!(outcome.code, 0, "{what} without {field}: {}", String::from_utf8_lossy(&outcome.stderr));
    let (a, b) = (trip.dump(1), trip.dump(2));
    assert_eq!(parting(&a.lines(), &b.lines()), None, "{what} without {field}");
}

fn drop_field(value: &mut Value, field: &str) {
    match value {
        Value::Object(map) => {
            map.remove(field);
            map.values_mut().for_each(|v| drop_field(v, field));
        }
        Value::Array(list) => list.iter_mut().for_each(|v| drop_field(v, field)),
        _ => {}
    }
}

#[test]
fn articles_and_rulesets_come_back_from_json() {
    test_as_root("articles_and_rulesets_come_back_from_json", AS_ROOT, || {
        let mut trip = Trip::new();
        for v6 in [false, true] {
            for (number, calls) in ARTICLES.iter().flat_map(|text| article::read(text, v6)).enumerate() {
                trip.flush();
                calls.iter().for_each(|call| drop(trip.run(0, call)));
                trip.there_and_back(v6, &format!("article {number}"));
            }
        }
        for path in files() {
            trip.flush();
            let restore = if is_v6(&path) { "ip6tables-restore" } else { "iptables-restore" };
            let load = Call::new([restore, "-c"]).reading(std::fs::read(&path).expect("a file"));
            if trip.run(0, &load).code == 0 {
                trip.there_and_back(is_v6(&path), &path.display().to_string());
            }
        }
        assert!(trip.rules > 100, "{} rules", trip.rules);
    });
}

#[test]
fn generated_rules_come_back_from_json() {
    test_as_root("generated_rules_come_back_from_json", AS_ROOT, || {
        let mut trip = Trip::new();
        let mut random = Random::new(3);
        let subjects = Subject::of("all").expect("all");
        for v6 in [false, true] {
            trip.flush();
            let program = if v6 { "ip6tables" } else { "iptables" };
            for (number, (table, _)) in TABLES.into_iter().enumerate() {
                for chain in USER_CHAINS {
                    trip.run(0, &Call::new([program, "-t", table, "-N", chain]));
                }
                for _ in 0..50 {
                    trip.run(0, &Rule::random(&mut random, v6, number).append());
                }
            }
            for subject in subjects.iter().filter(|subject| subject.v6 == v6) {
                for _ in 0..4 {
                    let (place, words) = (subject.place(&mut random), subject.words(&mut random));
                    trip.run(0, &subject.rule(&mut random, place, words).append());
                }
            }
            trip.there_and_back(v6, "generated");
            alone(&mut trip, v6, "parts", "generated");
            alone(&mut trip, v6, "text", "generated");
        }
        assert!(trip.rules > 500, "{} rules", trip.rules);
    });
}
