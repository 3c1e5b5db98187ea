//! `prov mfa …`: one's own second factor.
//!
//! On a terminal `enroll` does all of it in one go. For programs it is two steps, the secret and then the first code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::code::{self, Code, CodeArgs};
use super::connect::{self, answer, ask, ask_with_proof, block_on, failure, unproven};
use super::error::{CliError, Kind};
use super::printer::{counted, or_dash};
use super::qr::{self, Ink};
use super::secret::{self, PasswordArgs};
use super::{Global, Printer};
use crate::api::envelope;
use crate::api::mfa::{Activated, Enrolment, MfaStatus, Removal};
use crate::client::{Client, ClientError};

/// How often the first code may be typed before `enroll` gives up.
const TRIES: usize = 3;

/// Your second factor: codes of an authenticator app that logins ask for
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Set up an authenticator app: shows its QR code, asks for the first code, and shows the backup codes
    Enroll {
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Confirm the app that `enroll` gave a secret: logins ask for its codes from now on
    Verify {
        /// The code that the app shows; `-` reads it from standard input
        #[arg(value_name = "CODE", env = "PROV_MFA_CODE", hide_env_values = true)]
        code: Option<Code>,
    },
    /// Remove the second factor; takes the password and a code
    Disable {
        #[command(flatten)]
        password: PasswordArgs,
        #[command(flatten)]
        code: CodeArgs,
    },
    /// Show whether there is one, and how many backup codes are left
    Status,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    match &args.verb {
        Verb::Enroll { password } => enroll(&client, &printer, password, global)?,
        Verb::Verify { code } => {
            let code = match code::given(code.as_ref(), global)? {
                Some(code) => code,
                None if code::can_ask(global) => code::typed(FIRST_CODE)?,
                None => {
                    let error = CliError::new(Kind::Usage, "there is nobody to ask for the code");
                    return Err(error.hint("prov mfa verify CODE, or - to read it from standard input".to_owned()));
                }
            };
            let verified = verify(&client, &printer, &code)?.map_err(|error| unproven(&error))?;
            activated(&client, &printer, verified)?;
        }
        Verb::Disable { password, code } => disable(&client, &printer, (password, code), global)?,
        Verb::Status => {
            let status = block_on(ask(&printer, client.mfa_get()))?;
            printer.item(&status, state(&status), text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

const FIRST_CODE: &str = "code that the app shows: ";

fn enroll(client: &Client, printer: &Printer, password: &PasswordArgs, global: &Global) -> Result<(), CliError> {
    let given = secret::given(password, global)?;
    let looks_on = printer.format().is_for_people() && std::io::stdout().is_terminal();
    let in_one_go = looks_on && !password.password_stdin && code::can_ask(global);
    let password = given.map_or_else(|| secret::typed("present password (not shown): "), Ok)?;
    let enrolment = block_on(ask_with_proof(printer, client.mfa_enroll_totp(&password)))?;
    printer.item(&enrolment, &enrolment.secret, |enrolment| shown(enrolment, looks_on))?;
    if !in_one_go {
        printer.remark("nothing is active yet; confirm with the first code of the app: prov mfa verify CODE");
        return Ok(());
    }
    for tries_left in (0..TRIES).rev() {
        match verify(client, printer, &code::typed(FIRST_CODE)?)? {
            Ok(verified) => return activated(client, printer, verified),
            Err(ClientError::Answered(wrong)) if tries_left > 0 && wrong.code == envelope::Code::Forbidden => {
                printer.remark(&wrong.error);
            }
            Err(error) => return Err(unproven(&error).hint("nothing is active yet: prov mfa verify".to_owned())),
        }
    }
    Ok(())
}

/// What the app wants to know; as a QR code as well where there is a terminal to draw it on.
fn shown(enrolment: &Enrolment, draws: bool) -> String {
    let ink = if console::colors_enabled() { Ink::BlackOnWhite } else { Ink::Own };
    let code = if draws { qr::draw(&enrolment.otpauth_uri, ink) } else { None };
    let Enrolment { secret, otpauth_uri } = enrolment;
    format!("{}secret: {secret}\nuri:    {otpauth_uri}\n", code.unwrap_or_default())
}

type Verified = (Activated, Option<ClientError>);

fn verify(client: &Client, printer: &Printer, code: &str) -> Result<Result<Verified, ClientError>, CliError> {
    block_on(answer(printer, client.mfa_verify(code)))
}

/// The codes come first: whatever goes wrong now, they are shown only this once.
fn activated(client: &Client, printer: &Printer, (activated, lost): Verified) -> Result<(), CliError> {
    let ended = counted(activated.sessions_ended, "other session");
    printer.remark(&format!("the second factor is active; {ended} ended"));
    printer.remark(
        "backup codes, each good once in place of a code; keep them away from the app, they aren't shown again:",
    );
    let data = json!({ "backup_codes": activated.backup_codes, "sessions_ended": activated.sessions_ended });
    let lines: String = activated.backup_codes.iter().map(|code| format!("{code}\n")).collect();
    printer.item(&data, lines.trim_end(), |_| lines.clone())?;
    if !client.keeps_session() {
        printer.remark("the token that was given counts as before; log in for one that counts as proven: prov login");
    }
    lost.map_or(Ok(()), |error| Err(failure(&error)))
}

fn disable(
    client: &Client,
    printer: &Printer,
    (password, code): (&PasswordArgs, &CodeArgs),
    global: &Global,
) -> Result<(), CliError> {
    let (password, code) = code::with_password(password, code, global)?;
    if code.is_none() && !code::can_ask(global) {
        let error = CliError::new(Kind::Usage, "there is nobody to ask for a code of the second factor");
        return Err(error.hint(code::HOW_TO_GIVE.to_owned()));
    }
    let current_password = password.map_or_else(|| secret::typed("present password (not shown): "), Ok)?;
    let code = code.map_or_else(|| code::typed("code that the app shows, or a backup code: "), Ok)?;
    let removed = block_on(ask_with_proof(printer, client.mfa_disable(&Removal { current_password, code })))?;
    printer
        .remark(&format!("the second factor is removed; {} ended", counted(removed.sessions_ended, "other session")));
    Ok(())
}

fn state(status: &MfaStatus) -> &'static str {
    match status {
        _ if status.active => "active",
        _ if status.pending => "pending",
        _ => "none",
    }
}

fn text(status: &MfaStatus) -> String {
    let word = |is_so: bool| if is_so { "yes" } else { "no" };
    let lines = [
        format!("second factor: {}", state(status)),
        format!("set up:        {}", or_dash(status.enrolled_at)),
        format!("backup codes:  {} left", status.backup_codes_left),
        format!("this session:  {}", if status.session { "proven by a code" } else { "by password alone" }),
        format!("required:      {}", word(status.required)),
    ];
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_and_uri_stand_beside_the_code_for_typing() {
        let uri = "otpauth://totp/prov:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=prov";
        let enrolment = Enrolment { secret: "GEZD".to_owned(), otpauth_uri: uri.to_owned() };
        assert_eq!(shown(&enrolment, false), format!("secret: GEZD\nuri:    {uri}\n"));
        let drawn = shown(&enrolment, true);
        assert!(drawn.lines().count() > 20 && drawn.ends_with(&shown(&enrolment, false)), "{drawn}");
    }

    #[test]
    fn the_status_is_told_in_a_word_and_in_full() {
        let mut status = MfaStatus {
            active: false,
            pending: true,
            enrolled_at: None,
            backup_codes_left: 0,
            session: false,
            required: true,
        };
        assert_eq!(state(&status), "pending");
        status.active = true;
        status.session = true;
        let text = text(&status);
        assert!(text.starts_with("second factor: active\n") && text.contains("proven by a code"), "{text}");
    }
}
