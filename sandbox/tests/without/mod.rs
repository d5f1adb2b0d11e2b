//! A system that lacks something: it is taken away from this process with a system call filter.

use std::{collections::BTreeMap, env};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// From here on, in this thread and those it starts, `call` answers with `errno`.
pub(crate) fn take_away(call: i64, errno: i32) {
    let action = SeccompAction::Errno(errno as u32);
    let arch = env::consts::ARCH.try_into().unwrap();
    let rules = BTreeMap::from([(call, Vec::new())]);
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, action, arch).unwrap().try_into().unwrap();
    apply_filter(&filter).unwrap();
}
