// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a line to commands: words with quotes, `;`, `&`, `>` and `>>`, `#`.

/// One command of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Its name and arguments.
    pub(super) words: Vec<String>,
    /// Where its output goes instead of the terminal.
    pub(super) to: Option<Redirection>,
    /// The shell does not wait for it.
    pub(super) background: bool,
}

/// `> FILE` or `>> FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirection {
    /// The file.
    pub(super) path: String,
    /// What is in it stays.
    pub(super) append: bool,
}

/// What a line is made of.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `;` or `&`.
    End(char),
    /// `>`, or `>>` if true.
    Into(bool),
}

/// The commands of a line.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Vec<Command>, String> {
    let mut commands = Vec::new();
    let mut command = Command::default();
    let mut tokens = tokens(line)?.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => command.words.push(word),
            Token::Into(append) => match tokens.next() {
                Some(Token::Word(path)) => command.to = Some(Redirection { path, append }),
                _ => return Err("there is no file behind >".into()),
            },
            Token::End(end) => {
                command.background = end == '&';
                finish(&mut command, &mut commands, end)?;
            }
        }
    }
    if command != Command::default() {
        finish(&mut command, &mut commands, ' ')?;
    }
    Ok(commands)
}

fn finish(command: &mut Command, all: &mut Vec<Command>, end: char) -> Result<(), String> {
    let command = std::mem::take(command);
    match command.words.is_empty() {
        false => all.push(command),
        true if command.to.is_some() => return Err("there is no command before >".into()),
        true => return Err(format!("there is no command before {end}")),
    }
    Ok(())
}

fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => quoted(&mut chars, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut chars, '"', word.get_or_insert_default())?,
            '\\' => {
                let next = chars.next().ok_or("there is nothing behind \\")?;
                word.get_or_insert_default().push(next);
            }
            '#' if word.is_none() => break,
            '|' => return Err("there are no pipes here: use > FILE and cat".into()),
            '<' => return Err("commands read no input here: name the file".into()),
            c if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            ';' | '&' | '>' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(match c {
                    '>' => Token::Into(chars.next_if_eq(&'>').is_some()),
                    end => Token::End(end),
                });
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    Ok(tokens)
}

/// The rest of a quoted part; within double quotes a backslash still escapes.
fn quoted(
    chars: &mut impl Iterator<Item = char>,
    quote: char,
    word: &mut String,
) -> Result<(), String> {
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => word.extend(chars.next()),
            c => word.push(c),
        }
    }
    Err(format!("a {quote} is never closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands as `word|word >file &`, one behind the other.
    fn check(line: &str, wanted: &str) {
        let shown = match parse(line) {
            Err(why) => format!("! {why}"),
            Ok(commands) => (commands.iter())
                .map(|command| {
                    let mut text = command.words.join("|");
                    if let Some(to) = &command.to {
                        text += if to.append { " >>" } else { " >" };
                        text += &to.path;
                    }
                    text + if command.background { " &" } else { "" }
                })
                .collect::<Vec<_>>()
                .join(" ; "),
        };
        assert_eq!(shown, wanted, "{line}");
    }

    #[test]
    fn lines_become_commands() {
        check("", "");
        check("   # nothing", "");
        check("ls", "ls");
        check("  ls\t-la  /mnt ", "ls|-la|/mnt");
        check("cd /mnt; ls;", "cd|/mnt ; ls");
        check(
            "run lookup-storm xfs 5 & ps",
            "run|lookup-storm|xfs|5 & ; ps",
        );
        check("echo a>b>>c", "echo|a >>c");
        check("echo x >> 'a b' & ls>d", "echo|x >>a b & ; ls >d");
        check("cat a#b #c", "cat|a#b");
    }

    #[test]
    fn quotes_make_one_word_of_anything() {
        check("echo 'a b'c\"d e\"", "echo|a bcd e");
        check("echo '' \"\"", "echo||");
        check(r#"echo "a\"b\\" 'a\b' a\ b \;"#, r#"echo|a"b\|a\b|a b|;"#);
        check("echo 'a;b&c>d|e'", "echo|a;b&c>d|e");
    }

    #[test]
    fn what_is_wrong_is_said() {
        check("echo 'a", "! a ' is never closed");
        check("echo \"a\\\"", "! a \" is never closed");
        check("echo \\", "! there is nothing behind \\");
        check("; ls", "! there is no command before ;");
        check("ls && ls", "! there is no command before &");
        check("> a", "! there is no command before >");
        check("ls >", "! there is no file behind >");
        check("ls > ;", "! there is no file behind >");
        check("ls | cat", "! there are no pipes here: use > FILE and cat");
        check("cat < a", "! commands read no input here: name the file");
    }
}
