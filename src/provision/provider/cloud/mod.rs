//! Providers whose machines are made by calls over a network.

mod api;
mod backoff;

pub use self::api::{
    Api, CallError, Catalogue, Deletion, INFRA, Labels, Machine, MachineState, OPERATION, OWN, Offer, Order, SERVER,
    TOKEN,
};
