//! The Chatwire server as a library: its parts, and [`server`], which joins them.
//!
//! docs/ARCHITECTURE.md of the repository has the map and its reasons.

pub mod assistant;
pub mod auth;
pub mod clock;
pub mod config;
pub mod connection;
pub mod delivery;
pub mod error;
pub mod hub;
pub mod id;
pub mod jobs;
pub mod listener;
pub mod names;
pub mod outbox;
pub mod permits;
pub mod places;
pub mod policy;
pub mod presence;
pub mod quota;
pub mod server;
pub mod session;
pub mod store;
pub mod tls;
pub mod turns;
pub mod uploads;
pub mod warden;
