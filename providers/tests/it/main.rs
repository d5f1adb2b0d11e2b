//! The crate from outside: streams as data, a fake model that misbehaves, cassettes.

#[cfg(test)]
mod cassettes;
#[cfg(test)]
mod dialect;
#[cfg(test)]
mod fake_model;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod streams;
