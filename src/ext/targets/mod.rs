//! The targets, one file each; their one list is in [`super::Target`].

pub mod mark;
