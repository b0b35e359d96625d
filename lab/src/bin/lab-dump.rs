//! `lab-dump`: prints what the kernel holds in the current network namespace, as the comparisons see it.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program for people")]

fn main() -> std::io::Result<()> {
    let dump = lab::dump::Dump::read(&mut lab::netlink::Netlink::open(1 << 18)?)?;
    dump.lines().iter().for_each(|line| println!("{line}"));
    Ok(())
}
