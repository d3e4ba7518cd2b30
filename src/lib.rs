//! The Chatwire server as a library: its parts, and [`server`], which joins them.

pub mod config;
pub mod error;
pub mod id;
pub mod names;
pub mod policy;
pub mod store;
