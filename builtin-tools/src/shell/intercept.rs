//! Recognises `apply_patch` called as if it were a program. Models do that, and there is none.
//!
//! Only a command that is nothing but the call counts: a bigger script is the shell's business. The patch is taken as
//! it stands, also where an unquoted heredoc would have had the shell expand it.

use super::CommandLine;

/// A patch in a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PatchCall {
    /// The directory it changes to first.
    pub(crate) directory: Option<String>,
    pub(crate) patch: String,
}

/// The patch that the command applies, if that is all it does.
pub(crate) fn patch_call(command: &CommandLine) -> Option<PatchCall> {
    match command {
        CommandLine::Script(script) => in_script(script),
        CommandLine::Argv(argv) => match argv.as_slice() {
            [program, patch] if is_apply_patch(program) => {
                Some(PatchCall { directory: None, patch: patch.clone() })
            }
            [shell, flag, script] if is_shell(shell) && (flag == "-c" || flag == "-lc") => in_script(script),
            _ => None,
        },
    }
}

fn is_apply_patch(word: &str) -> bool {
    word == "apply_patch" || word == "applypatch"
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("bash" | "sh" | "zsh"))
}

/// `[cd DIRECTORY &&] apply_patch (<<DELIMITER … DELIMITER | 'PATCH' | "PATCH")`
fn in_script(script: &str) -> Option<PatchCall> {
    let mut rest = script.trim();
    let mut directory = None;
    if let Some(after) = rest.strip_prefix("cd ") {
        let (word, after) = word(after.trim_start())?;
        directory = Some(word.to_owned());
        rest = after.trim_start().strip_prefix("&&")?.trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (program, argument) = rest.split_at(end);
    if !is_apply_patch(program) {
        return None;
    }
    let argument = argument.trim_start_matches([' ', '\t']);
    let patch = match argument.strip_prefix("<<") {
        Some(heredoc) => in_heredoc(heredoc)?,
        None => quoted(argument)?.to_owned(),
    };
    Some(PatchCall { directory, patch })
}

fn in_heredoc(text: &str) -> Option<String> {
    let (tabs, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (delimiter, body) = text.split_once('\n')?;
    let delimiter = delimiter.trim();
    let delimiter = quoted(delimiter).unwrap_or(delimiter);
    if delimiter.is_empty() || !delimiter.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let mut patch = String::with_capacity(body.len());
    let mut lines = body.lines();
    for line in &mut lines {
        let line = if tabs { line.trim_start_matches('\t') } else { line };
        if line == delimiter {
            return lines.all(|line| line.trim().is_empty()).then_some(patch);
        }
        patch.push_str(line);
        patch.push('\n');
    }
    None
}

/// What stands between quotes, if that is the whole text and the shell would leave it as it is.
fn quoted(text: &str) -> Option<&str> {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'')
        .filter(|text| !text.contains('\''))
        .or_else(|| inside('"').filter(|text| !text.contains(['"', '$', '`', '\\'])))
}

/// The first word, and what comes after it. No word that the shell would expand.
fn word(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let end = match quote {
        Some(quote) => text[1..].find(quote)? + 2,
        None => text.find(|c: char| c.is_whitespace() || c == '&')?,
    };
    let (word, rest) = text.split_at(end);
    let word = if quote.is_some() { quoted(word)? } else { word };
    let plain = quote.is_some()
        || !word.starts_with('~')
            && !word.contains(['$', '`', '\\', '*', '?', ';', '|', '<', '>', '(', '"', '\'']);
    (plain && !word.is_empty()).then_some((word, rest))
}

#[cfg(test)]
mod tests {
    use super::{CommandLine, patch_call};

    fn check(command: &CommandLine, expected: Option<(Option<&str>, &str)>) {
        let call = patch_call(command);
        let call = call.as_ref().map(|call| (call.directory.as_deref(), call.patch.as_str()));
        assert_eq!(call, expected, "{command:?}");
    }

    fn script(script: &str, expected: Option<(Option<&str>, &str)>) {
        check(&CommandLine::Script(script.to_owned()), expected);
        let argv = ["bash", "-lc", script].map(str::to_owned).to_vec();
        check(&CommandLine::Argv(argv), expected);
    }

    #[test]
    fn calls() {
        check(&CommandLine::Argv(vec!["apply_patch".into(), "P".into()]), Some((None, "P")));
        script("apply_patch <<'EOF'\nP $x\nQ\nEOF\n", Some((None, "P $x\nQ\n")));
        script("  applypatch <<\"X_1\"\nP\nX_1", Some((None, "P\n")));
        script("apply_patch <<EOF\nP\nEOF", Some((None, "P\n")));
        script("apply_patch <<-EOF\n\tP\n\tEOF", Some((None, "P\n")));
        script("cd a/b && apply_patch <<'EOF'\nP\nEOF", Some((Some("a/b"), "P\n")));
        script("cd 'a b' &&\n apply_patch <<'EOF'\nP\nEOF", Some((Some("a b"), "P\n")));
        script("apply_patch '*** P\nQ'", Some((None, "*** P\nQ")));
        script("apply_patch \"*** P\nQ\"", Some((None, "*** P\nQ")));
    }

    #[test]
    fn anything_more_is_left_to_the_shell() {
        check(&CommandLine::Argv(vec!["apply_patch".into()]), None);
        for text in [
            "apply_patch <<'EOF'\nP\nEOF\necho done",
            "apply_patch <<'EOF' && echo\nP\nEOF",
            "apply_patch <<'EOF'\nP",
            "cd $HOME && apply_patch <<'EOF'\nP\nEOF",
            "cd a; apply_patch <<'EOF'\nP\nEOF",
            "echo; apply_patch <<'EOF'\nP\nEOF",
            "apply_patch 'it'\\''s'",
            "apply_patch \"$P\"",
            "apply_patcher <<'EOF'\nP\nEOF",
            "apply_patch",
            "",
        ] {
            script(text, None);
        }
    }
}
