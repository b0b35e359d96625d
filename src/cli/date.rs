//! The date in the comment lines of a save, as asctime(3) writes it in local time.

/// The time now: `Fri Nov 20 22:56:29 2026`.
pub fn now() -> String {
    jiff::Zoned::now().strftime("%a %b %e %H:%M:%S %Y").to_string()
}
