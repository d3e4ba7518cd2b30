//! Passwords: from the terminal without an echo, or a line of what is piped in. Never from an argument, which
//! everybody on the machine can read.

use super::Error;
use std::io::{self, BufRead, IsTerminal};

/// The longest password that fits into a HELLO with all else that may be in it.
const MAX_PASSWORD: usize = 1024;

/// Reads a new password; at a terminal twice.
pub(super) fn read(name: &str) -> Result<String, Error> {
    let password = if io::stdin().is_terminal() { ask(name)? } else { line(io::stdin().lock())? };
    if password.is_empty() {
        return Err(Error::Secret("a password is not empty; nothing was changed"));
    }
    if password.len() > MAX_PASSWORD {
        return Err(Error::Secret("a password has at most 1024 bytes; nothing was changed"));
    }
    Ok(password)
}

fn ask(name: &str) -> Result<String, Error> {
    let password = rpassword::prompt_password(format!("Password for {name}: "))?;
    if rpassword::prompt_password("The same again: ")? != password {
        return Err(Error::Secret("these are two passwords; nothing was changed"));
    }
    Ok(password)
}

/// The first line, without its end.
fn line(input: impl BufRead) -> Result<String, Error> {
    let mut line = String::new();
    // The end of the line, and one more byte by which a longer one is known.
    input.take(MAX_PASSWORD as u64 + 3).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_as_it_is() {
        for (input, want) in [("a b \n", "a b "), ("x\r\ny\n", "x"), ("x", "x"), ("", ""), ("\n", "")] {
            assert_eq!(line(input.as_bytes()).unwrap(), want);
        }
        let long = "x".repeat(5000);
        assert!(line(long.as_bytes()).unwrap().len() > MAX_PASSWORD, "too long, and seen to be");
    }
}
