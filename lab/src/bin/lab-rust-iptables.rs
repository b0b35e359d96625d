//! `lab-rust-iptables FAMILY METHOD WORD…`: one call of the Rust crate `iptables`, and what it answered.
//!
//! FAMILY is 4 or 6, METHOD a method of `iptables::IPTables`, the words its arguments. Netavark and others use the crate; the case
//! `cases/clients/rust-iptables.sh` calls this with stock and with ours.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [family, method, words @ ..] = &words[..] else {
        return Err("usage: lab-rust-iptables FAMILY METHOD WORD…".into());
    };
    let mut table = iptables::new(*family == "6").map_err(|error| error.to_string())?;
    table.set_numeric(true);
    match call(&table, method, words) {
        Ok(answer) => println!("{answer}"),
        Err(error) => {
            println!("error: {error}");
            std::process::exit(1);
        }
    }
    Ok(())
}

/// Calls a method, its answer as text.
fn call(table: &iptables::IPTables, method: &str, words: &[&str]) -> Result<String, Box<dyn Error>> {
    let done = |()| "done".to_owned();
    let number = |word: &str| word.parse::<i32>();
    match (method, words) {
        ("get_policy", [t, chain]) => table.get_policy(t, chain),
        ("set_policy", [t, chain, policy]) => table.set_policy(t, chain, policy).map(done),
        ("execute", [t, command]) => table.execute(t, command).map(|output| {
            let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
            format!("{}\n{out}{error}", output.status)
        }),
        ("exists", [t, chain, rule]) => table.exists(t, chain, rule).map(|there| there.to_string()),
        ("chain_exists", [t, chain]) => table.chain_exists(t, chain).map(|there| there.to_string()),
        ("insert", [t, chain, rule, at]) => table.insert(t, chain, rule, number(at)?).map(done),
        ("insert_unique", [t, chain, rule, at]) => table.insert_unique(t, chain, rule, number(at)?).map(done),
        ("replace", [t, chain, rule, at]) => table.replace(t, chain, rule, number(at)?).map(done),
        ("append", [t, chain, rule]) => table.append(t, chain, rule).map(done),
        ("append_unique", [t, chain, rule]) => table.append_unique(t, chain, rule).map(done),
        ("append_replace", [t, chain, rule]) => table.append_replace(t, chain, rule).map(done),
        ("delete", [t, chain, rule]) => table.delete(t, chain, rule).map(done),
        ("delete_all", [t, chain, rule]) => table.delete_all(t, chain, rule).map(done),
        ("list", [t, chain]) => table.list(t, chain).map(|lines| lines.join("\n")),
        ("list_table", [t]) => table.list_table(t).map(|lines| lines.join("\n")),
        ("list_chains", [t]) => table.list_chains(t).map(|lines| lines.join("\n")),
        ("new_chain", [t, chain]) => table.new_chain(t, chain).map(done),
        ("flush_chain", [t, chain]) => table.flush_chain(t, chain).map(done),
        ("rename_chain", [t, old, new]) => table.rename_chain(t, old, new).map(done),
        ("delete_chain", [t, chain]) => table.delete_chain(t, chain).map(done),
        ("flush_table", [t]) => table.flush_table(t).map(done),
        _ => Err(format!("no method {method} with {} words", words.len()).into()),
    }
}
