//! The tools through an MCP client, as everyone uses them.

#[cfg(test)]
mod dialect;
#[cfg(test)]
mod patches;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod surface;
