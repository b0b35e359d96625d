//! The matches, one file each; their one list is in [`super::Match`].

pub mod length;
pub mod mark;
