//! The layers that a command is confined with: what a system has of them, and whether that is enough for a policy.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    error::SpawnError,
    landlock::LEAST_ABI,
    level::Level,
    namespaces::Means,
    policy::{Network, Require},
    probe::Enforcement,
};

/// What is done about a part of a policy that can not be kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// The command is not run.
    Refuse,
    /// It is run all the same, because the policy says so, and this process says once what is missing.
    Warn,
}

/// The layers that there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers {
    /// The version of Landlock to use.
    pub(crate) landlock: Option<i32>,
    pub(crate) seccomp: bool,
    pub(crate) means: Option<Means>,
    pub(crate) otherwise: Otherwise,
}

impl Layers {
    /// Those of a system, if they are as much as is required.
    pub(crate) fn new(enforcement: &Enforcement, require: Require) -> Result<Self, SpawnError> {
        let lacking = |what, hint| Err(SpawnError::Unenforceable { what, hint });
        let otherwise = if require == Require::Nothing { Otherwise::Warn } else { Otherwise::Refuse };
        match (require, enforcement.level(), enforcement.shortfall()) {
            (Require::Nothing, ..) => {
                for missing in enforcement.missing() {
                    otherwise.open(missing, "")?;
                }
            }
            (_, Level::None, Some(missing)) => {
                let hint = "use a kernel from 6.2 on with landlock and seccomp, or run with what there is by \
                            [sandbox] require = \"none\", or without a sandbox by sandbox_mode = \
                            \"danger-full-access\"";
                return lacking(missing, hint);
            }
            (Require::Full, Level::Reduced, Some(missing)) => {
                let hint =
                    "permit namespaces to this user, or do with less by [sandbox] require = \"reduced\"";
                return lacking(format!("{missing}, and the full level is required"), hint);
            }
            _ => {}
        }
        Ok(Self {
            landlock: enforcement.landlock_version(),
            seccomp: enforcement.seccomp(),
            means: enforcement.means(),
            otherwise,
        })
    }

    /// The network that a command gets where this one is asked for.
    pub(crate) fn network(&self, asked: Network, enforcement: &Enforcement) -> Result<Network, SpawnError> {
        let (Network::Localhost, Some(why)) = (asked, enforcement.no_namespaces()) else { return Ok(asked) };
        let what = format!("network = \"localhost\" needs a network of the command's own, and {why}");
        self.otherwise.open(what, "set network to \"off\" or \"on\"")?;
        // Less than was asked for, never more.
        Ok(Network::Off)
    }

    /// The version of Landlock that a view is made for; without any, nothing is asked of it.
    pub(crate) fn abi(&self) -> i32 {
        self.landlock.unwrap_or(LEAST_ABI)
    }
}

impl Otherwise {
    /// What is missing, and what can be done about it, as an error, or said once.
    pub(crate) fn open(self, what: String, hint: &'static str) -> Result<(), SpawnError> {
        static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        const MOST: usize = 64;
        if self == Self::Refuse {
            return Err(SpawnError::Unenforceable { what, hint });
        }
        let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MOST && said.insert(what.clone()) {
            tracing::warn!("commands run although the sandbox can not be enforced: {what}");
        }
        Ok(())
    }
}
