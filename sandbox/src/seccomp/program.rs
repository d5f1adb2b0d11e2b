//! Rules on system calls as one program of the kernel's filter machine.
//!
//! It has two halves. The first is a search tree over the numbers of the calls, and decides most of them; the
//! second, compiled by seccompiler, looks at the arguments of the few that are left. The tree is there for
//! speed: the kernel walks every new filter once for each number there is, and a list of a hundred
//! comparisons costs a command more time than all the rest of its sandbox.

use std::collections::BTreeMap;

use libc::{c_long, sock_filter};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};

/// The newest system call that has been looked at (`file_setattr`). Newer numbers are universal.
pub(super) const NEWEST_KNOWN: u32 = 469;

/// This processor, as the kernel names it: its ELF machine, 64 bits, little-endian.
pub(super) const ARCHITECTURE: u32 = MACHINE as u32 | 0xc000_0000;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = libc::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = libc::EM_AARCH64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: u16 = libc::EM_RISCV;

/// A compiled program, in the form that the kernel takes.
pub(crate) struct Filter(Vec<sock_filter>);

impl Filter {
    /// The header that the kernel is given; it points into this filter.
    pub(crate) fn program(&self) -> libc::sock_fprog {
        // The kernel takes at most 4096 instructions, and refuses a length that does not fit.
        let len = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        libc::sock_fprog { len, filter: self.0.as_ptr().cast_mut() }
    }

    #[cfg(test)]
    pub(super) fn instructions(&self) -> &[sock_filter] {
        &self.0
    }
}

/// Whether programs can be compiled for this kind of processor.
pub(crate) fn knows_this_processor() -> bool {
    TargetArch::try_from(std::env::consts::ARCH).is_ok()
}

/// A program that answers the `refused` calls with the error given, the calls of `rules` with `EPERM` when a
/// rule of theirs applies, calls newer than the newest known with `ENOSYS`, and lets all others through.
pub(super) fn compile(
    refused: impl Iterator<Item = (c_long, i32)>,
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
) -> Result<Filter, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let mut program = prologue().to_vec();
    program.append(&mut by_number(refused, rules.keys().copied())?);
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let by_argument =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(|e| e.to_string())?;
    let by_argument = BpfProgram::try_from(by_argument).map_err(|e| e.to_string())?;
    program.extend(by_argument.iter().map(|it| op(it.code, it.jt, it.jf, it.k)));
    Ok(Filter(program))
}

/// Kills what is called as on another architecture, where the numbers mean other calls, and loads the number.
fn prologue() -> [sock_filter; 4] {
    // Offsets into `struct seccomp_data`.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    [
        op(LOAD, 0, 0, ARCH),
        op(IF_EQUAL, 1, 0, ARCHITECTURE),
        op(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        op(LOAD, 0, 0, NUMBER),
    ]
}

/// What becomes of a call, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Return(u32),
    /// On to the program that follows the tree.
    LookAtArguments,
}

/// The half that depends on the number alone; it runs on into what comes after it for the calls in
/// `by_argument`.
fn by_number(
    refused: impl Iterator<Item = (c_long, i32)>,
    by_argument: impl Iterator<Item = c_long>,
) -> Result<Vec<sock_filter>, String> {
    // x86-64 numbers with this bit are the same calls in their x32 form, and match no rule on a number: they
    // kill, as those of any other architecture. Higher ones are no calls at all.
    const X32: u32 = 0x4000_0000;
    const NO_CALL: u32 = 0x8000_0000;
    let allow = Verdict::Return(libc::SECCOMP_RET_ALLOW);
    let error = |errno: i32| Verdict::Return(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
    let missing = error(libc::ENOSYS);
    let foreign =
        if cfg!(target_arch = "x86_64") { Verdict::Return(libc::SECCOMP_RET_KILL_PROCESS) } else { missing };

    let calls = by_argument.map(|call| (call, Verdict::LookAtArguments));
    let calls: BTreeMap<_, _> = calls.chain(refused.map(|(call, errno)| (call, error(errno)))).collect();
    // Each verdict holds from its number on, up to the next.
    let mut verdicts =
        BTreeMap::from([(0, allow), (NEWEST_KNOWN + 1, missing), (X32, foreign), (NO_CALL, missing)]);
    for (call, verdict) in calls {
        let call = u32::try_from(call).map_err(|_| format!("{call} is not the number of a system call"))?;
        verdicts.insert(call, verdict);
        verdicts.entry(call + 1).or_insert(allow);
    }
    let mut steps: Vec<(u32, Verdict)> = verdicts.into_iter().collect();
    steps.dedup_by_key(|(_, verdict)| *verdict);

    let mut tree = search_tree(&steps)?;
    let end = tree.len();
    for (at, leaf) in tree.iter_mut().enumerate().filter(|(_, op)| op.code == JUMP) {
        leaf.k = u32::try_from(end - at - 1).map_err(|e| e.to_string())?;
    }
    Ok(tree)
}

/// Instructions that find the last of `steps` that does not lie above the loaded number. The jumps at its
/// leaves have yet to be told how far the end is.
fn search_tree(steps: &[(u32, Verdict)]) -> Result<Vec<sock_filter>, String> {
    match steps {
        [] => return Err("no verdict to choose from".to_owned()),
        [(_, Verdict::Return(what))] => return Ok(vec![op(RETURN, 0, 0, *what)]),
        [(_, Verdict::LookAtArguments)] => return Ok(vec![op(JUMP, 0, 0, 0)]),
        [_, _, ..] => {}
    }
    let (below, above) = steps.split_at(steps.len() / 2);
    let border = above.first().map_or(0, |(from, _)| *from);
    let mut left = search_tree(below)?;
    let over = u8::try_from(left.len()).map_err(|_| "too many numbers for one search tree".to_owned())?;
    let mut tree = vec![op(IF_AT_LEAST, over, 0, border)];
    tree.append(&mut left);
    tree.append(&mut search_tree(above)?);
    Ok(tree)
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;

fn op(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}
