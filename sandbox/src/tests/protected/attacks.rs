//! Ways to get at protected names.

/// A workspace with something in it, and what is tried there. Both are scripts that start in the workspace,
/// beside which there is a second writable root, `../other`.
pub(super) type Attack = (&'static str, &'static str);

/// A repository as `git init` leaves it, without needing git.
pub(super) const REPOSITORY: &str = "mkdir -p .git/hooks .git/objects .git/refs/heads; echo 'ref: refs/heads/main' > .git/HEAD; \
     echo '[core]' > .git/config; echo '#!/bin/sh' > .git/hooks/sample";
const OURS: &str = "mkdir .codex .agents; echo a > .codex/config.toml; echo b > .agents/skill";
const LINKED: &str = "cd ../other; mkdir -p .git/hooks .git/objects .git/refs .git/worktrees/ws; \
     echo x > .git/HEAD; echo x > .git/config; echo ../.. > .git/worktrees/ws/commondir; \
     echo $OLDPWD/.git > .git/worktrees/ws/gitdir; echo x > .git/worktrees/ws/HEAD; \
     echo \"gitdir: $PWD/.git/worktrees/ws\" > $OLDPWD/.git";
const SUBMODULE: &str = "mkdir -p .git/hooks .git/modules/a/hooks .git/modules/b/c; echo x > .git/HEAD; echo x > .git/config; \
     echo x > .git/modules/a/HEAD; echo x > .git/modules/a/config; \
     echo x > .git/modules/b/c/HEAD; echo x > .git/modules/b/c/config";
const BY_LINKS: &str = "mkdir -p real/hooks conf more; echo x > real/HEAD; echo x > real/config; ln -s real .git; \
     ln -s conf .codex; echo a > conf/config.toml; ln -s ../other/far .agents; rmdir real/hooks; \
     ln -s ../more real/hooks; ln -s missing .missing";

pub(super) const ATTACKS: &[Attack] = &[
    (OURS, "echo evil > .codex/config.toml"),
    (OURS, "echo evil > .codex/rules"),
    (OURS, "rm .codex/config.toml"),
    (OURS, "chmod 777 .codex/config.toml"),
    (OURS, "rm -rf .agents; mkdir .agents"),
    (OURS, "mv .codex gone"),
    (OURS, "mv .codex gone; cp -r gone .codex; echo evil > .codex/config.toml"),
    (OURS, "ln .codex/config.toml link; echo evil > link"),
    (OURS, "mkdir new; mv new .codex/new"),
    (OURS, "mkdir evil; exchange evil .agents"),
    ("echo x > .codex", "echo evil > .codex"),
    ("", "mkdir .codex"),
    ("", "echo evil > .agents"),
    ("mkdir evil", "mv evil .agents"),
    ("mkdir evil", "ln -s evil .codex"),
    ("", "mkdir -p .codex/rules; echo evil > .codex/rules/evil"),
    (REPOSITORY, "echo evil >> .git/config"),
    (REPOSITORY, "echo evil > .git/config.lock; mv -f .git/config.lock .git/config"),
    (REPOSITORY, "echo evil > .git/hooks/pre-commit"),
    (REPOSITORY, "rm .git/hooks/sample"),
    (REPOSITORY, "chmod +x .git/hooks/sample"),
    (REPOSITORY, "mv .git/hooks .git/aside; mkdir .git/hooks"),
    (REPOSITORY, "mv .git aside; mkdir .git; echo evil > .git/config"),
    (REPOSITORY, "mv .git aside; cp -r aside .git; echo evil > .git/config"),
    (REPOSITORY, "rm -rf .git; mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit"),
    (REPOSITORY, "cp -r .git evil; echo evil > evil/config; exchange evil .git"),
    (REPOSITORY, "cp -r .git evil; echo evil > evil/config; echo ../evil > .git/commondir"),
    ("mkdir .git; echo x > .git/HEAD", "mkdir .git/hooks"),
    ("mkdir .git; echo x > .git/HEAD", "echo evil > .git/config"),
    (
        "mkdir .git; echo '[extensions] worktreeConfig = true' > .git/config",
        "echo evil > .git/config.worktree",
    ),
    ("mkdir .git; echo x > .git/config.worktree", "echo evil > .git/config.worktree"),
    (LINKED, "echo evil > .git"),
    (LINKED, "mkdir evil; rm -f .git; mv evil .git"),
    (
        LINKED,
        "cp -r ../other/.git evil; echo evil > evil/config; echo $PWD/evil > ../other/.git/worktrees/ws/commondir",
    ),
    (
        LINKED,
        "mv ../other/.git/worktrees ../other/.git/aside; cp -r ../other/.git/aside ../other/.git/worktrees; \
              echo evil > ../other/.git/worktrees/ws/commondir",
    ),
    (LINKED, "echo evil > ../other/.git/config"),
    (LINKED, "echo evil > ../other/.git/hooks/pre-commit"),
    ("echo 'gitdir: ../other/later' > .git", "mkdir ../other/later; echo evil > ../other/later/config"),
    (SUBMODULE, "echo evil > .git/modules/a/config"),
    (SUBMODULE, "echo evil > .git/modules/a/hooks/pre-commit"),
    (SUBMODULE, "echo evil > .git/modules/b/c/config"),
    (SUBMODULE, "mkdir .git/modules/b/c/hooks"),
    (
        SUBMODULE,
        "mv .git/modules/b .git/modules/d; cp -r .git/modules/d .git/modules/b; echo evil > .git/modules/b/c/config",
    ),
    (
        SUBMODULE,
        "mv .git/modules .git/aside; cp -r .git/aside .git/modules; echo evil > .git/modules/a/config",
    ),
    (
        "for i in $(seq 20); do mkdir -p .git/modules/$i/hooks; echo x > .git/modules/$i/HEAD; done",
        "echo evil > .git/modules/7/hooks/pre-commit",
    ),
    (BY_LINKS, "echo evil > conf/config.toml"),
    (BY_LINKS, "mv conf aside; mkdir conf; echo evil > conf/config.toml"),
    (BY_LINKS, "mkdir evil; echo evil > evil/config.toml; ln -sfn evil .codex"),
    (BY_LINKS, "mkdir evil; echo evil > evil/config; rm .git; mv evil .git"),
    (BY_LINKS, "echo evil > real/config"),
    (BY_LINKS, "echo evil > more/pre-commit"),
    (BY_LINKS, "mkdir ../other/far"),
];
