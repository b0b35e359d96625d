//! The hash of Bob Jenkins that the kernel spreads packets with.
//!
//! Source: lookup3.c (2006, public domain), as `linux/jhash.h` begins it.

/// Where the kernel begins the hash.
const INIT: u32 = 0xdead_beef;

/// The hash of three words.
#[must_use]
pub fn jhash_3words(a: u32, b: u32, c: u32, seed: u32) -> u32 {
    let init = seed.wrapping_add(INIT).wrapping_add(3 << 2);
    let (mut a, mut b, mut c) = (a.wrapping_add(init), b.wrapping_add(init), c.wrapping_add(init));
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the table of marks in `targets/hmark/tests.rs`, which the kernel made.
    #[test]
    fn words_are_told_apart() {
        let hashes =
            [jhash_3words(0, 0, 0, 0), jhash_3words(1, 0, 0, 0), jhash_3words(0, 1, 0, 0), jhash_3words(0, 0, 0, 1)];
        let mut different = hashes.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), hashes.len());
    }
}
