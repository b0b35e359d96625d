//! What the matches on headers say of packets is what the kernel counts; `OXTABLES_EVALUATED=N` takes N rules of each extension and as many
//! packets times ten, `OXTABLES_SEED=N` others, `OXTABLES_ONLY=a,b` other extensions.

use std::env;

use lab::alike::{Road, Tally};
use lab::generate::extension::Subject;
use lab::random::Random;
use lab::root::test_as_root;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");

/// The extensions about the bytes of packets, of which the surroundings need not be known.
const ABOUT_HEADERS: &str =
    "ah,dccp,dscp,dst,ecn,esp,eui64,frag,hbh,hl,ipcomp,ipv6header,length,mh,rt,sctp,srh,tcpmss,tos,ttl";

fn number(name: &str) -> Option<usize> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn the_kernel_counts_what_the_evaluation_says() {
    test_as_root("the_kernel_counts_what_the_evaluation_says", AS_ROOT, || {
        let only = env::var("OXTABLES_ONLY");
        let subjects = Subject::of(only.as_deref().unwrap_or(ABOUT_HEADERS)).expect("extensions");
        let mut random = Random::new(number("OXTABLES_SEED").unwrap_or(1) as u64);
        let count = number("OXTABLES_EVALUATED").unwrap_or(10);
        let (road, mut tally) = (Road::new(), Tally::default());
        road.evaluated(&mut random, &subjects, count, 10 * count, &mut tally);
        for ((name, family), seen) in &tally.seen {
            println!("{name} {family}: {} rules, {} met", seen.same, seen.met);
        }
        println!("{} packets", tally.packets);
        let faults = &tally.faults;
        assert!(faults.is_empty(), "{}:\n\n{}", faults.len(), faults[..faults.len().min(20)].join("\n\n"));
        assert!(tally.packets > 10 * count, "only {} packets came through", tally.packets);
    });
}
