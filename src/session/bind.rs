//! Bind: format codes and parameter values, decoded in place.

use super::client::{ClientStatement, Done, Portal, PortalState, Session};
use super::encode::Formats;
use crate::dialect::codec::{TextStyle, decode_binary, decode_text};
use crate::transaction::{SqlError, Value};
use crate::wire::{Fields, Outbox, message};
use std::rc::Rc;

impl Session {
    /// Bind.
    pub(super) fn bind(&mut self, body: &[u8], out: &mut Outbox) -> Done {
        let short = || Session::violation("insufficient data left in message");
        let mut fields = Fields(body);
        let portal_name = fields.text().ok_or_else(short)?;
        let statement_name = fields.text().ok_or_else(short)?;
        let statement = self.statement_named(statement_name)?;
        if self.refuses(&statement) {
            return Err(super::utility::aborted().into());
        }
        let name = if statement_name.is_empty() { "" } else { statement_name };
        let (parameters, formats) = decode(&mut fields, &statement, name, &self.settings.active().style)?;
        if !portal_name.is_empty() && self.portals.contains_key(portal_name) {
            return Err(SqlError::new("42P03", format!("cursor \"{portal_name}\" already exists")).into());
        }
        let portal = Portal { statement, parameters, formats, state: PortalState::Ready };
        match self.portals.get_mut(portal_name) {
            Some(known) => *known = portal,
            None => {
                self.portals.insert(portal_name.to_owned(), portal);
            }
        }
        message::bind_complete(&mut out.buffer);
        Ok(())
    }

    /// The prepared statement of this name.
    pub(super) fn statement_named(&self, name: &str) -> Result<Rc<ClientStatement>, SqlError> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            SqlError::new("26000", message)
        })
    }
}

/// Everything in a Bind message behind the names.
fn decode(
    fields: &mut Fields<'_>,
    statement: &ClientStatement,
    name: &str,
    style: &TextStyle,
) -> Done<(Vec<Value>, Formats)> {
    let short = || Session::violation("insufficient data left in message");
    let types = statement.params();
    let codes = format_codes(fields)?;
    let count = fields.i16().ok_or_else(short)?;
    let count = usize::try_from(count).map_err(|_| short())?;
    if codes.len() > 1 && codes.len() != count {
        let text = format!("bind message has {} parameter formats but {count} parameters", codes.len());
        return Err(Session::violation(&text));
    }
    if count != types.len() {
        let text = format!(
            "bind message supplies {count} parameters, but prepared statement \"{name}\" requires {}",
            types.len()
        );
        return Err(Session::violation(&text));
    }
    let mut parameters = Vec::with_capacity(count);
    for (at, ty) in types.iter().enumerate() {
        let length = fields.i32().ok_or_else(short)?;
        if length < 0 {
            parameters.push(Value::Null);
            continue;
        }
        let bytes = fields.bytes(length as usize).ok_or_else(short)?;
        let binary = if codes.len() == 1 { codes[0] } else { codes.get(at).copied().unwrap_or(false) };
        parameters.push(if binary { decode_binary(bytes, *ty)? } else { decode_text(bytes, *ty, style)? });
    }
    statement.plan.as_ref().map_or(Ok(()), |plan| plan.prepared.check_parameters(&parameters))?;
    let columns = statement.plan.as_ref().map_or(0, |plan| plan.prepared.columns.len());
    let codes = format_codes(fields)?;
    let formats = match codes.as_slice() {
        [] | [false] => Formats::Text,
        [true] => Formats::Binary,
        each if statement.plan.is_some() && each.len() != columns => {
            let text = format!("bind message has {} result formats but query has {columns} columns", each.len());
            return Err(Session::violation(&text));
        }
        each if each.iter().all(|binary| *binary) => Formats::Binary,
        each => Formats::Each(each.into()),
    };
    if !fields.is_empty() {
        return Err(Session::violation("invalid message format"));
    }
    Ok((parameters, formats))
}

/// Codes kept without an allocation where there are few, as there mostly are.
struct Codes {
    few: [bool; 16],
    many: Vec<bool>,
    count: usize,
}

impl std::ops::Deref for Codes {
    type Target = [bool];
    fn deref(&self) -> &[bool] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

impl Codes {
    fn as_slice(&self) -> &[bool] {
        self
    }
}

/// A list of format codes: 0 text, 1 binary.
fn format_codes(fields: &mut Fields<'_>) -> Done<Codes> {
    let short = || Session::violation("insufficient data left in message");
    let count = usize::try_from(fields.i16().ok_or_else(short)?).map_err(|_| short())?;
    let mut codes = Codes { few: [false; 16], many: Vec::new(), count };
    for at in 0..count {
        let binary = match fields.i16().ok_or_else(short)? {
            0 => false,
            1 => true,
            other => return Err(SqlError::new("22023", format!("unsupported format code: {other}")).into()),
        };
        if count <= codes.few.len() {
            codes.few[at] = binary;
        } else {
            codes.many.push(binary);
        }
    }
    Ok(codes)
}
