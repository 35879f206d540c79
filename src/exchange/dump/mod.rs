//! `evesql dump`: one database as SQL that PostgreSQL 15 and EveSQL load.
//!
//! One REPEATABLE READ, READ ONLY transaction reads all of it, so that it is one state. The order is that of names and of
//! what must be there first, with nothing in it that changes from run to run: two dumps of one state are equal byte for
//! byte. Rows stream from COPY to the output. Keys and checks are part of CREATE TABLE, since adding one to a full table
//! makes EveSQL write it anew; indexes and foreign keys come behind the rows.

mod catalog;
mod grants;

use super::{ExchangeError, Progress, Target, quote_text, server, with_client};
use crate::catalog::definitions::{qualified_name as qualified, quote_ident};
use catalog::{Database, Owned, Relation, Sequence};
use futures::StreamExt;
use std::io::Write;
use std::pin::pin;
use tokio_postgres::Client;

/// Bytes of rows behind one COPY: EveSQL takes 256 MiB in one statement, and rows grow when they are read.
const COPY_BYTES: usize = 32 << 20;

const HEADER: &str = "\
--
-- EveSQL database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET client_min_messages = warning;
";

/// What to dump, and how.
#[derive(Clone, Debug)]
pub struct DumpOptions<'a> {
    /// Which database.
    pub target: Target<'a>,
    /// ALTER .. OWNER TO.
    pub owners: bool,
    /// GRANT.
    pub privileges: bool,
}

/// Writes a database to `out`.
///
/// # Errors
/// What the server or the output refuse; what was written by then is no whole dump, and does not end with
/// `-- EveSQL database dump complete`.
pub fn dump(options: &DumpOptions<'_>, out: &mut dyn Write) -> Result<(), ExchangeError> {
    with_client(&options.target, |client| async move {
        let begin =
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_catalog.set_config('search_path', '', false)";
        client.simple_query(begin).await.map_err(server("opening a transaction"))?;
        let database = catalog::read(&client).await?;
        let mut writer = Writer { options, database: &database, out };
        writer.write(&client).await
    })
}

struct Writer<'a> {
    options: &'a DumpOptions<'a>,
    database: &'a Database,
    out: &'a mut dyn Write,
}

type Written = Result<(), ExchangeError>;

impl Writer<'_> {
    async fn write(&mut self, client: &Client) -> Written {
        self.say(HEADER)?;
        self.schemas()?;
        self.types()?;
        self.sequences()?;
        self.tables()?;
        self.views()?;
        self.rows(client).await?;
        self.numbers()?;
        self.indexes()?;
        self.foreign_keys()?;
        if self.options.privileges {
            self.grants()?;
        }
        self.say("\n-- EveSQL database dump complete\n")?;
        self.out.flush().map_err(ExchangeError::Output)
    }

    fn say(&mut self, text: &str) -> Written {
        self.out.write_all(text.as_bytes()).map_err(ExchangeError::Output)
    }

    fn owner(&mut self, kind: &str, name: &str, owner: &str) -> Written {
        if self.options.owners {
            self.say(&format!("ALTER {kind} {name} OWNER TO {};\n", quote_ident(owner)))?;
        }
        Ok(())
    }

    fn comment(&mut self, on: &str, comment: Option<&String>) -> Written {
        comment.map_or(Ok(()), |text| self.say(&format!("COMMENT ON {on} IS {};\n", quote_text(text))))
    }

    fn schemas(&mut self) -> Written {
        for schema in &self.database.schemas {
            let name = quote_ident(&schema.name);
            if schema.name == "public" {
                let usual = schema.owned.comment.as_deref().is_none_or(|text| text == "standard public schema");
                if !usual {
                    self.say("\n")?;
                    self.comment("SCHEMA public", schema.owned.comment.as_ref())?;
                }
                continue;
            }
            self.say(&format!("\nCREATE SCHEMA {name};\n"))?;
            self.owner("SCHEMA", &name, &schema.owned.owner)?;
            self.comment(&format!("SCHEMA {name}"), schema.owned.comment.as_ref())?;
        }
        Ok(())
    }

    fn types(&mut self) -> Written {
        for found in &self.database.types {
            let name = qualified(&found.schema, &found.name);
            let labels: Vec<String> = found.labels.iter().map(|label| format!("    {}", quote_text(label))).collect();
            self.say(&format!("\nCREATE TYPE {name} AS ENUM (\n{}\n);\n", labels.join(",\n")))?;
            self.owner("TYPE", &name, &found.owned.owner)?;
            self.comment(&format!("TYPE {name}"), found.owned.comment.as_ref())?;
        }
        Ok(())
    }

    /// Those that stand alone; an identity column makes its own.
    fn sequences(&mut self) -> Written {
        for sequence in self.database.sequences.iter().filter(|sequence| !sequence.is_identity()) {
            let name = sequence.sql_name();
            let ty = if sequence.ty == "bigint" { String::new() } else { format!("\n    AS {}", sequence.ty) };
            self.say(&format!("\nCREATE SEQUENCE {name}{ty}{};\n", sequence.options()))?;
            let table = sequence.owner.as_ref().and_then(|(table, ..)| self.database.table(*table));
            // PostgreSQL wants one owner for both.
            let owner = table.map_or(&sequence.owned.owner, |table| &table.owned.owner);
            self.owner("SEQUENCE", &name, owner)?;
            self.comment(&format!("SEQUENCE {name}"), sequence.owned.comment.as_ref())?;
        }
        Ok(())
    }

    fn tables(&mut self) -> Written {
        for table in &self.database.tables {
            let name = table.sql_name();
            let mut parts: Vec<String> = table.columns.iter().map(column_sql).collect();
            let inside = table.constraints.iter().filter(|constraint| constraint.kind != "f");
            parts.extend(inside.map(|c| format!("CONSTRAINT {} {}", quote_ident(&c.name), c.definition)));
            self.say(&format!("\nCREATE TABLE {name} (\n    {}\n);\n", parts.join(",\n    ")))?;
            self.owner("TABLE", &name, &table.owned.owner)?;
            self.owned_sequences(table)?;
            self.comment(&format!("TABLE {name}"), table.owned.comment.as_ref())?;
            self.column_comments(table)?;
            for constraint in table.constraints.iter().filter(|constraint| constraint.kind != "f") {
                let on = format!("CONSTRAINT {} ON {name}", quote_ident(&constraint.name));
                self.comment(&on, constraint.comment.as_ref())?;
            }
        }
        Ok(())
    }

    fn column_comments(&mut self, relation: &Relation) -> Written {
        for column in &relation.columns {
            let on = format!("COLUMN {}.{}", relation.sql_name(), quote_ident(&column.name));
            self.comment(&on, column.comment.as_ref())?;
        }
        Ok(())
    }

    fn owned_sequences(&mut self, table: &Relation) -> Written {
        for sequence in &self.database.sequences {
            let Some((oid, column, is_identity)) = &sequence.owner else { continue };
            if *oid != table.oid {
                continue;
            }
            let (name, of, column) = (sequence.sql_name(), table.sql_name(), quote_ident(column));
            if !is_identity {
                self.say(&format!("ALTER SEQUENCE {name} OWNED BY {of}.{column};\n"))?;
                continue;
            }
            let always = table.columns.iter().any(|c| quote_ident(&c.name) == column && c.identity == "a");
            let when = if always { "ALWAYS" } else { "BY DEFAULT" };
            let options = sequence.options();
            self.say(&format!(
                "ALTER TABLE {of} ALTER COLUMN {column} ADD GENERATED {when} AS IDENTITY (\n    SEQUENCE NAME {name}{options}\n);\n"
            ))?;
            self.comment(&format!("SEQUENCE {name}"), sequence.owned.comment.as_ref())?;
        }
        Ok(())
    }

    fn views(&mut self) -> Written {
        for view in &self.database.views {
            let (name, columns) = (view.sql_name(), column_list(view.columns.iter().map(|column| &column.name)));
            let query = view.query.trim().trim_end_matches(';');
            self.say(&format!("\nCREATE VIEW {name} ({columns}) AS\n {query};\n"))?;
            self.owner("VIEW", &name, &view.owned.owner)?;
            self.comment(&format!("VIEW {name}"), view.owned.comment.as_ref())?;
            self.column_comments(view)?;
        }
        Ok(())
    }

    async fn rows(&mut self, client: &Client) -> Written {
        let mut progress = Progress::new();
        for table in &self.database.tables {
            let columns = column_list(table.columns.iter().filter(|c| !c.generated).map(|column| &column.name));
            let name = table.sql_name();
            let what = || format!("reading {name}");
            // A table of generated columns alone has nothing to say.
            if columns.is_empty() {
                continue;
            }
            let copy = format!("COPY {name} ({columns}) TO STDOUT");
            let stream = client.copy_out(&copy).await.map_err(server(what()))?;
            let mut stream = pin!(stream);
            let head = format!("\nCOPY {name} ({columns}) FROM stdin;\n");
            self.say(&head)?;
            let (mut bytes, mut rows) = (0, 0);
            while let Some(part) = stream.next().await {
                let part = part.map_err(server(what()))?;
                // A part ends with a row; a line break in a value is escaped.
                if bytes > COPY_BYTES {
                    self.say("\\.\n")?;
                    self.say(&head)?;
                    bytes = 0;
                }
                self.out.write_all(&part).map_err(ExchangeError::Output)?;
                bytes += part.len();
                rows += part.iter().filter(|byte| **byte == b'\n').count();
                progress.at(|| format!("{name}: {rows} rows"));
            }
            self.say("\\.\n")?;
        }
        Ok(())
    }

    fn numbers(&mut self) -> Written {
        for sequence in &self.database.sequences {
            let (name, last) = (quote_text(&sequence.sql_name()), &sequence.last_value);
            self.say(&format!("\nSELECT pg_catalog.setval({name}, {last}, {});\n", sequence.is_called))?;
        }
        Ok(())
    }

    fn indexes(&mut self) -> Written {
        for table in &self.database.tables {
            for index in &table.indexes {
                self.say(&format!("\n{};\n", index.definition))?;
            }
            // Those of constraints have their comments there.
            for index in &table.indexes {
                let name = qualified(&table.schema, &index.name);
                self.comment(&format!("INDEX {name}"), index.comment.as_ref())?;
            }
        }
        Ok(())
    }

    fn foreign_keys(&mut self) -> Written {
        for table in &self.database.tables {
            let name = table.sql_name();
            for key in table.constraints.iter().filter(|constraint| constraint.kind == "f") {
                let constraint = quote_ident(&key.name);
                let definition = &key.definition;
                self.say(&format!("\nALTER TABLE ONLY {name}\n    ADD CONSTRAINT {constraint} {definition};\n"))?;
                self.comment(&format!("CONSTRAINT {constraint} ON {name}"), key.comment.as_ref())?;
            }
        }
        Ok(())
    }

    fn grants(&mut self) -> Written {
        let database = self.database;
        for schema in &database.schemas {
            self.granted("SCHEMA", &quote_ident(&schema.name), &schema.owned)?;
        }
        for relation in database.tables.iter().chain(&database.views) {
            self.granted("TABLE", &relation.sql_name(), &relation.owned)?;
        }
        for sequence in &database.sequences {
            self.granted("SEQUENCE", &sequence.sql_name(), &sequence.owned)?;
        }
        Ok(())
    }

    fn granted(&mut self, kind: &str, name: &str, owned: &Owned) -> Written {
        let Some(acl) = &owned.acl else { return Ok(()) };
        for (to, privileges) in grants::granted(acl, &quote_ident(&owned.owner)) {
            // Everybody has it in a new database.
            if (kind, name, to.as_str(), privileges.as_str()) == ("SCHEMA", "public", "PUBLIC", "USAGE") {
                continue;
            }
            self.say(&format!("\nGRANT {privileges} ON {kind} {name} TO {to};\n"))?;
        }
        Ok(())
    }
}

fn column_list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

fn column_sql(column: &catalog::Column) -> String {
    let mut sql = format!("{} {}", quote_ident(&column.name), column.ty);
    match &column.default {
        Some(expression) if column.generated => sql += &format!(" GENERATED ALWAYS AS ({expression}) STORED"),
        Some(expression) => sql += &format!(" DEFAULT {expression}"),
        None => {}
    }
    if column.not_null {
        sql += " NOT NULL";
    }
    sql
}

impl Relation {
    fn sql_name(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

impl Sequence {
    fn sql_name(&self) -> String {
        qualified(&self.schema, &self.name)
    }
    fn is_identity(&self) -> bool {
        self.owner.as_ref().is_some_and(|(.., is_identity)| *is_identity)
    }
    fn options(&self) -> String {
        let Sequence { start, increment, minimum, maximum, .. } = self;
        let cycle = if self.cycle { "\n    CYCLE" } else { "" };
        format!(
            "\n    START WITH {start}\n    INCREMENT BY {increment}\n    MINVALUE {minimum}\n    MAXVALUE {maximum}{cycle}"
        )
    }
}
