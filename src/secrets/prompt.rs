//! Questions at the terminal whose answers nobody may see.

use zeroize::Zeroizing;

use super::Trouble;

/// Asks for something at the terminal, without showing what is typed.
///
/// # Errors
/// When there is no terminal.
pub fn ask(what: &str) -> Result<Zeroizing<String>, Trouble> {
    let term = console::Term::stderr();
    let asked = term
        .write_str(&format!("{what}: "))
        .and_then(|()| term.read_secure_line());
    asked
        .map(Zeroizing::new)
        .map_err(|error| Trouble::new(format!("cannot ask for it: {error}")))
}
