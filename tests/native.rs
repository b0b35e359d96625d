//! Rules in native expressions on the real kernel: every command works on them, they are read back as they were written, a text that does not
//! fit its expressions is not believed, and a kernel without xt support gets them by itself. Each test has a namespace of its own.

mod common;

use std::ops::ControlFlow;
use std::process::Command;

use common::with_namespaces;
use oxtables::cli::{Streams, restore_text};
use oxtables::compile::Raised;
use oxtables::kernel::netns::Namespace;
use oxtables::kernel::{Batch, Event, RulePlace, RuleReader, Session, as_if_without};
use oxtables::types::{Family, NoNames, Out};
use oxtables::wire::consts::NFT_META_MARK;
use oxtables::wire::{Expr, Exprs};

const V4: Family = Family::V4;

/// What a script prints in a namespace of its own, with this encoding; its exit code must be 0.
fn script(encoding: &str, script: &str) -> String {
    let script = format!("export OXTABLES_EXPLAIN=never OXTABLES_ENCODING={encoding}\nset -e\n{script}");
    let words = ["sandbox", "--", "bash", "-c", &script];
    let output = Command::new(env!("CARGO_BIN_EXE_oxtables")).args(words).output().expect("the sandbox runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}{err}");
    out.into_owned()
}

const RULES: &str = "
iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A INPUT -p tcp -m state --state NEW -m comment --comment 'in the middle' -m multiport --dports 22,80,1000:2000 -j ACCEPT
iptables -A INPUT -p udp -m multiport ! --ports 53,500:600 -j DROP
iptables -A INPUT -p tcp -m multiport --ports 53,54 -j DROP
iptables -A INPUT -p icmp -m icmp --icmp-type 8/0 -m addrtype --dst-type LOCAL,BROADCAST -j ACCEPT
iptables -A INPUT -m iprange --src-range 10.0.0.3-10.0.0.9 -m length --length 40:100 -j LOG --log-prefix 'odd: ' --log-level 7
iptables -A INPUT -m comment --comment 'only a comment' -j RETURN
iptables -A INPUT -j REJECT --reject-with icmp-admin-prohibited
iptables -t nat -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1-10.0.0.3:8080
iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
iptables -t mangle -A PREROUTING -j MARK --set-xmark 0x1/0xff
iptables -t raw -A PREROUTING -j CT --zone 7
ip6tables -A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT
ip6tables -A INPUT -p udp -m multiport --sports 1,3,5 -j REJECT
";

#[test]
fn they_are_listed_as_in_stocks_expressions() {
    let list = "iptables -S; iptables -L -n -v --line-numbers; ip6tables -S; for t in nat mangle raw; do iptables -t $t -S; done";
    let save = "iptables-save -c | grep -v ^#; ip6tables-save | grep -v ^#";
    let (stock, native) = (format!("{RULES}{list}\n{save}"), format!("{RULES}{list}\n{save}"));
    assert_eq!(script("native", &native), script("stock", &stock));
}

#[test]
fn every_command_works_on_them() {
    let commands = "
iptables -C INPUT -p udp -m multiport ! --ports 53,500:600 -j DROP
iptables -D INPUT -p udp -m multiport ! --ports 53,500:600 -j DROP
! iptables -C INPUT -p udp -m multiport ! --ports 53,500:600 -j DROP 2>&1
iptables -R INPUT 2 -p tcp -m multiport --dports 1,2,9 -j DROP
iptables -I INPUT 2 -m state --state INVALID -j DROP -c 3 4
iptables -I INPUT -p tcp -m multiport --sports 7,9 -c 5 6
iptables -S INPUT -v
iptables -Z INPUT 1
iptables -S INPUT -v
iptables -Z
iptables -S INPUT -v
iptables -N user; iptables -A user -p tcp -m multiport --sports 7,9; iptables -E user other; iptables -S other
iptables-save -c > saved; iptables-restore -c < saved; iptables-save -c | grep -v ^# > again; grep -v ^# saved | diff - again
iptables-restore -n < saved; iptables -S INPUT | wc -l
iptables -D INPUT 1; iptables -D INPUT 2; iptables -S INPUT
";
    let all = format!("cd $(mktemp -d)\n{RULES}{commands}");
    assert_eq!(script("native", &all), script("stock", &all));
}

/// A restore file that refers to rules of its own: the batch holds rules in native expressions that the kernel has not seen.
#[test]
fn a_file_can_change_its_own_rules() {
    let file = "iptables-restore <<END
*filter
:own -
-A INPUT -p tcp -m multiport --dports 1,2 -j own
-A INPUT -m conntrack --ctstate NEW -j DROP
-A own -m comment --comment x -m length --length 5
-I INPUT 2 -p udp -m multiport --dports 3,4 -j ACCEPT
-D INPUT -m conntrack --ctstate NEW -j DROP
-R INPUT 1 -p tcp -m multiport --dports 1,3 -j own
COMMIT
END
iptables -S";
    assert_eq!(script("native", file), script("stock", file));
}

#[test]
fn the_variable_must_name_an_encoding() {
    let said = script("Native", "iptables -A INPUT 2>&1 || echo $?; echo '*filter' | iptables-restore 2>&1 || echo $?");
    assert!(said.contains("OXTABLES_ENCODING is `Native': it must be stock or native"), "{said}");
    assert_eq!(said.matches("\n2\n").count(), 2, "{said}");
}

/// Runs a test in a fresh namespace.
fn alone(name: &str, test: impl FnOnce() + Send) {
    with_namespaces(name, || Namespace::new().expect("a namespace").run(test).expect("a namespace"));
}

fn load(text: &str) {
    let mut io = Streams::default();
    restore_text(V4, &NoNames, text.as_bytes(), &mut io)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(io.err.as_bytes())));
}

/// The rules of INPUT as `-S` prints them, with `xt` before those that have an xt expression; `opaque` for what is not understood.
fn input() -> Vec<String> {
    let (mut session, mut reader, mut rules) = (Session::open().expect("a session"), RuleReader::new(V4), Vec::new());
    let read = session.rules(V4, b"filter", b"INPUT", &mut |event| {
        if let Event::Rule(rule) = event {
            let xt = |e: Expr<'_>| matches!(e, Expr::Match { .. } | Expr::Target { .. });
            let mut out = Out::new();
            out.str(if Exprs::new(rule.exprs).flatten().any(xt) { "xt" } else { "" });
            match reader.raise(rule.table, rule.exprs, rule.userdata) {
                Raised::Rule(body, _) => {
                    let cx = oxtables::ext::PrintCx { family: V4, numeric: true, names: &NoNames, protocol: None };
                    body.save(&mut out, &cx, None);
                }
                Raised::Opaque(_) => out.str(" opaque"),
            }
            rules.push(String::from_utf8_lossy(out.as_bytes()).into_owned());
        }
        ControlFlow::Continue(())
    });
    read.expect("the rules");
    rules
}

#[test]
fn what_the_kernel_lacks_is_written_natively_by_itself() {
    alone("what_the_kernel_lacks_is_written_natively_by_itself", || {
        let text = "*filter\n:INPUT ACCEPT\n-A INPUT -m length --length 5\n-A INPUT -p tcp -m multiport --dports 5,6\nCOMMIT\n";
        load(text);
        assert_eq!(input(), ["xt -m length --length 5", "xt -p tcp -m multiport --dports 5,6"]);
        as_if_without(&["multiport"], || load(text));
        assert_eq!(input(), ["xt -m length --length 5", " -p tcp -m multiport --dports 5,6"]);
        let mut io = Streams::default();
        let lacking = "*filter\n-A INPUT -p tcp -m tcp --tcp-option 5\nCOMMIT\n";
        let refused = as_if_without(&["tcp"], || restore_text(V4, &NoNames, lacking.as_bytes(), &mut io));
        assert!(refused.is_err(), "no native expressions say this");
        let said = String::from_utf8_lossy(io.err.as_bytes()).into_owned();
        assert!(said.contains("Warning: Extension tcp revision 0 not supported, missing kernel module?"), "{said}");
        assert_eq!(input().len(), 2, "nothing has changed");
    });
}

/// The expressions and the userdata of the only rule of INPUT.
fn only_rule() -> (Vec<u8>, Vec<u8>, u64) {
    let mut found = None;
    let mut session = Session::open().expect("a session");
    let read = session.rules(V4, b"filter", b"INPUT", &mut |event| {
        if let Event::Rule(rule) = event {
            found = Some((rule.exprs.to_vec(), rule.userdata.unwrap_or_default().to_vec(), rule.handle));
        }
        ControlFlow::Continue(())
    });
    read.expect("the rules");
    found.expect("a rule")
}

#[test]
fn a_text_that_does_not_fit_its_expressions_is_not_believed() {
    alone("a_text_that_does_not_fit_its_expressions_is_not_believed", || {
        as_if_without(&["length"], || load("*filter\n-A INPUT -m length --length 5 -j DROP\nCOMMIT\n"));
        assert_eq!(input(), [" -m length --length 5 -j DROP"]);
        let (exprs, userdata, handle) = only_rule();
        let put = |exprs: &[u8], userdata: &[u8]| {
            let mut batch = Batch::new(V4);
            batch.raw_rule(b"filter", b"INPUT", RulePlace::Replace(handle), None, Some(userdata), exprs);
            let mut session = Session::open().expect("a session");
            session.commit(&batch, None).unwrap_or_else(|e| panic!("{e:?}"));
        };
        // Another length in the text, and the same expressions.
        let lie: Vec<u8> = userdata.iter().map(|b| if *b == b'5' { b'6' } else { *b }).collect();
        put(&exprs, &lie);
        assert_eq!(input(), [" opaque"]);
        put(&exprs, &userdata);
        assert_eq!(input(), [" -m length --length 5 -j DROP"]);
        // Expressions that say something iptables can say by themselves: the text does not count.
        let mut w = oxtables::wire::Writer::new();
        let mut x = oxtables::wire::ExprWriter::new(&mut w);
        x.meta(NFT_META_MARK);
        x.cmp_eq(false, &1u32.to_ne_bytes());
        put(w.as_bytes(), &userdata);
        assert_eq!(input(), [" -m mark --mark 0x1"]);
        for broken in [&[0x80][..], &[0x80, 200, b'-'], &[0x80, 0], &[0x80, 2, 0xff, b'"'], &[0, 1, 0, 0x80]] {
            put(&exprs, broken);
            assert_eq!(input(), [" opaque"]);
        }
    });
}

#[test]
fn sets_are_compared_by_what_is_in_them_and_go_with_their_rule() {
    alone("sets_are_compared_by_what_is_in_them_and_go_with_their_rule", || {
        let file = |ports: &str| format!("*filter\n-A INPUT -p tcp -m multiport --dports {ports} -j DROP\nCOMMIT\n");
        as_if_without(&["multiport"], || load(&file("5,7,9:12")));
        assert_eq!(input(), [" -p tcp -m multiport --dports 5,7,9:12 -j DROP"]);
        let (exprs, userdata, _) = only_rule();
        let mut session = Session::open().expect("a session");
        assert_eq!(session.sets(V4, b"filter").expect("the sets").len(), 1);
        // The same text and expressions, with another set under the name.
        let text = String::from_utf8_lossy(&userdata).into_owned();
        assert!(text.contains("5,7,9:12"), "{text}");
        let lie: Vec<u8> = userdata.iter().map(|b| if *b == b'7' { b'8' } else { *b }).collect();
        let wrong = RuleReader::new(V4).raise(b"filter", &exprs, Some(&lie));
        assert!(matches!(wrong, Raised::Opaque(_)), "{wrong:?}");
        let right = RuleReader::new(V4).raise(b"filter", &exprs, Some(&userdata));
        assert!(matches!(right, Raised::Rule(..)), "{right:?}");
        as_if_without(&["multiport"], || load(&file("5,8")));
        assert_eq!(session.sets(V4, b"filter").expect("the sets").len(), 1, "the old one is gone");
        load("*filter\nCOMMIT\n");
        assert_eq!(session.sets(V4, b"filter").expect("the sets").len(), 0);
    });
}

/// The longest text that fits is kept; a longer one makes the rule xt again.
#[test]
fn a_text_that_is_too_long_leaves_the_rule_in_stocks_expressions() {
    let rule = |len: usize| {
        let comment = "c".repeat(len);
        format!("iptables -A INPUT -m length --length 1:2 -m comment --comment {comment} -j DROP; iptables -S INPUT")
    };
    for len in [1, 100, 120, 127, 128, 180, 200, 215, 240, 255] {
        assert_eq!(script("native", &rule(len)), script("stock", &rule(len)), "{len}");
    }
}
