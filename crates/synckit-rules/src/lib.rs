#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! - [`RuleReader`]: reads rules, and knows the resolvers they may name
//! - [`Mistakes`], [`Mistake`], [`Place`]: what is wrong with a file, and where
//! - `tree.rs`: one tree with places for all formats; `toml.rs`, `yaml.rs`, `json.rs`: from text to the tree
//! - `reader/`: from the tree to rules

mod json;
mod mistake;
mod reader;
mod toml;
mod tree;
mod yaml;

pub use mistake::{Mistake, Mistakes, Place};
pub use reader::{Format, RuleReader};
