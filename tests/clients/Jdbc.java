// JDBC: everything parsed, metadata, generated keys, batches, cursors by fetch size, LOBs as bytes, COPY, cancel.

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;
import org.postgresql.PGConnection;

public class Jdbc {
    interface Body { void run() throws Exception; }
    static int failed = 0;
    static Connection c;

    static void check(String what, Body body) {
        try {
            body.run();
            System.out.println("ok " + what);
        } catch (Throwable error) {
            failed++;
            if (System.getenv("VERBOSE") != null) error.printStackTrace();
            System.out.println("not ok " + what + "\t" + String.valueOf(error).replaceAll("\\s+", " "));
            try { if (!c.getAutoCommit()) { c.rollback(); c.setAutoCommit(true); } } catch (SQLException ignored) { }
        }
    }

    static void equal(Object got, Object expected) {
        if (!Objects.deepEquals(got, expected)) throw new AssertionError("got " + show(got) + ", expected " + show(expected));
    }

    static String show(Object o) {
        return o == null ? "null" : o.getClass().isArray() ? Arrays.deepToString(new Object[] {o}) : o.getClass().getSimpleName() + " " + o;
    }

    static SQLException fails(String state, Body body) throws Exception {
        try {
            body.run();
        } catch (SQLException error) {
            equal(error.getSQLState(), state);
            return error;
        }
        throw new AssertionError("expected SQLSTATE " + state + ", got no error");
    }

    static List<List<Object>> rows(ResultSet set) throws SQLException {
        List<List<Object>> all = new ArrayList<>();
        while (set.next()) {
            List<Object> row = new ArrayList<>();
            for (int i = 1; i <= set.getMetaData().getColumnCount(); i++) row.add(set.getObject(i));
            all.add(row);
        }
        set.close();
        return all;
    }

    static List<List<Object>> query(String sql, Object... values) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) s.setObject(i + 1, values[i]);
            return rows(s.executeQuery());
        }
    }

    static void execute(String sql) throws SQLException {
        try (Statement s = c.createStatement()) { s.execute(sql); }
    }

    /** The named columns of a metadata result, row by row. */
    static List<List<Object>> columns(ResultSet set, String... names) throws SQLException {
        List<List<Object>> all = new ArrayList<>();
        while (set.next()) {
            List<Object> row = new ArrayList<>();
            for (String name : names) row.add(set.getString(name));
            all.add(row);
        }
        set.close();
        return all;
    }

    static List<Object> list(Object... values) { return Arrays.asList(values); }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        Properties user = new Properties();
        user.setProperty("user", System.getenv("PGUSER"));
        c = DriverManager.getConnection(url, user);
        System.out.println("version " + c.getMetaData().getDriverVersion());

        check("types of values and parameters, in text and, after five runs, in binary", () -> {
            execute("create table kinds (id serial primary key, n varchar(20) unique, d numeric(10,2), ts timestamptz default now(),"
                + " tn timestamp, b boolean, y bytea, l bigint, dt date, tm time, f float8, r real, s smallint, u uuid, j jsonb, a int[], t text[])");
            UUID u = UUID.fromString("0d6d9c4e-6ba1-4a5a-8d9e-5a3e6c6f2b11");
            OffsetDateTime at = OffsetDateTime.of(2026, 11, 22, 14, 20, 59, 51152000, ZoneOffset.UTC);
            String sql = "insert into kinds (n, d, ts, tn, b, y, l, dt, tm, f, r, s, u, j, a, t) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?)";
            for (int run = 1; run <= 8; run++) {
                try (PreparedStatement s = c.prepareStatement(sql)) {
                    Object[] values = {"o'x" + run, new BigDecimal("1.10"), at, at.toLocalDateTime(), true, new byte[] {0, 1, -1}, 1L << 40,
                        LocalDate.of(2026, 1, 31), LocalTime.of(23, 59, 1), 1.5, 0.25f, (short) -3, u, "{\"a\": [1, null]}",
                        c.createArrayOf("int4", new Integer[] {1, 2}), c.createArrayOf("text", new String[] {"x", "y\"z", null})};
                    for (int i = 0; i < values.length; i++) s.setObject(i + 1, values[i]);
                    equal(s.executeUpdate(), 1);
                }
            }
            try (PreparedStatement s = c.prepareStatement("select * from kinds where id = ? and n like ?")) {
                for (int run = 1; run <= 8; run++) {
                    s.setInt(1, run);
                    s.setString(2, "o'x%");
                    ResultSet r = s.executeQuery();
                    equal(r.next(), true);
                    equal(r.getObject("n"), "o'x" + run);
                    equal(r.getBigDecimal("d"), new BigDecimal("1.10"));
                    equal(r.getObject("ts", OffsetDateTime.class).toInstant(), at.toInstant());
                    equal(r.getObject("tn", LocalDateTime.class), at.toLocalDateTime());
                    equal(list(r.getBoolean("b"), r.getLong("l"), r.getDouble("f"), r.getFloat("r"), r.getInt("s")), list(true, 1L << 40, 1.5, 0.25f, -3));
                    equal(r.getBytes("y"), new byte[] {0, 1, -1});
                    equal(r.getObject("dt", LocalDate.class), LocalDate.of(2026, 1, 31));
                    equal(r.getObject("tm", LocalTime.class), LocalTime.of(23, 59, 1));
                    equal(r.getObject("u"), u);
                    equal(r.getString("j"), "{\"a\": [1, null]}");
                    equal(r.getArray("a").getArray(), new Integer[] {1, 2});
                    equal(r.getArray("t").getArray(), new String[] {"x", "y\"z", null});
                }
            }
        });

        check("generated keys: all columns, named ones, of a batch", () -> {
            execute("create table keyed (id bigint generated always as identity primary key, n text, at timestamptz default now())");
            try (PreparedStatement s = c.prepareStatement("insert into keyed (n) values (?)", Statement.RETURN_GENERATED_KEYS)) {
                s.setString(1, "a");
                s.executeUpdate();
                equal(columns(s.getGeneratedKeys(), "id", "n"), list(list("1", "a")));
            }
            try (PreparedStatement s = c.prepareStatement("insert into keyed (n) values (?)", new String[] {"id"})) {
                for (String n : new String[] {"b", "c", "d"}) { s.setString(1, n); s.addBatch(); }
                equal(s.executeBatch(), new int[] {1, 1, 1});
                equal(rows(s.getGeneratedKeys()), list(list(2L), list(3L), list(4L)));
            }
            try (Statement s = c.createStatement()) {
                equal(s.executeUpdate("update keyed set n = n || 'x' where id > 2", Statement.RETURN_GENERATED_KEYS), 2);
                equal(columns(s.getGeneratedKeys(), "n"), list(list("cx"), list("dx")));
            }
        });

        check("metadata of results and parameters", () -> {
            try (PreparedStatement s = c.prepareStatement("select k.id, k.n, k.d, count(*) as many from kinds k where id = ? and d > ? group by 1, 2, 3")) {
                ParameterMetaData p = s.getParameterMetaData();
                equal(list(p.getParameterCount(), p.getParameterTypeName(1), p.getParameterTypeName(2)), list(2, "int4", "numeric"));
                ResultSetMetaData m = s.getMetaData();
                equal(list(m.getColumnName(1), m.getColumnTypeName(1), m.isAutoIncrement(1), m.isNullable(1)), list("id", "serial", true, ResultSetMetaData.columnNoNulls));
                equal(list(m.getColumnTypeName(2), m.getPrecision(2), m.getTableName(2)), list("varchar", 20, "kinds"));
                equal(list(m.getColumnTypeName(3), m.getPrecision(3), m.getScale(3)), list("numeric", 10, 2));
                equal(list(m.getColumnLabel(4), m.getColumnClassName(4)), list("many", "java.lang.Long"));
                equal(((org.postgresql.PGResultSetMetaData) m).getBaseTableName(3), "kinds");
            }
        });

        check("metadata of tables, columns, keys, indexes", () -> {
            execute("create table child (id serial primary key, kind int not null references kinds (id) on delete cascade, note text default 'x')");
            execute("create index child_note on child (note desc, kind)");
            execute("comment on table child is 'a child'");
            execute("create view narrow as select id, n from kinds");
            DatabaseMetaData m = c.getMetaData();
            equal(list(m.getDatabaseProductName(), m.getDatabaseMajorVersion() >= 14), list("PostgreSQL", true));
            equal(columns(m.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS"),
                list(list("child", "TABLE", "a child"), list("keyed", "TABLE", null), list("kinds", "TABLE", null), list("narrow", "VIEW", null)));
            equal(columns(m.getColumns(null, "public", "child", "%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "IS_NULLABLE", "COLUMN_DEF", "IS_AUTOINCREMENT"),
                list(list("id", "serial", "10", "NO", "nextval('child_id_seq'::regclass)", "YES"), list("kind", "int4", "10", "NO", null, "NO"),
                    list("note", "text", "2147483647", "YES", "'x'::text", "NO")));
            equal(columns(m.getPrimaryKeys(null, "public", "kinds"), "COLUMN_NAME", "PK_NAME", "KEY_SEQ"), list(list("id", "kinds_pkey", "1")));
            equal(columns(m.getImportedKeys(null, "public", "child"), "PKTABLE_NAME", "PKCOLUMN_NAME", "FKCOLUMN_NAME", "FK_NAME", "DELETE_RULE"),
                list(list("kinds", "id", "kind", "child_kind_fkey", "0")));
            equal(columns(m.getExportedKeys(null, "public", "kinds"), "FKTABLE_NAME"), list(list("child")));
            equal(columns(m.getIndexInfo(null, "public", "child", false, true), "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE", "ASC_OR_DESC"),
                list(list("child_pkey", "id", "f", "A"), list("child_note", "note", "t", "D"), list("child_note", "kind", "t", "A")));
            equal(columns(m.getBestRowIdentifier(null, "public", "kinds", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME"), list(list("id")));
            equal(columns(m.getSchemas(), "TABLE_SCHEM").contains(list("public")), true);
            equal(columns(m.getCatalogs(), "TABLE_CAT"), list(list(System.getenv("PGDATABASE"))));
            equal(columns(m.getTypeInfo(), "TYPE_NAME").contains(list("int4")), true);
            equal(columns(m.getFunctions(null, "public", "%"), "FUNCTION_NAME"), list());
            equal(columns(m.getTablePrivileges(null, "public", "child"), "PRIVILEGE").contains(list("SELECT")), true);
        });

        check("metadata of the language: its keywords", () -> {
            equal(c.getMetaData().getSQLKeywords().contains("ilike"), true);
        });

        check("transactions: levels, savepoints, read only, the failed one", () -> {
            c.setAutoCommit(false);
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            execute("insert into keyed (n) values ('kept')");
            Savepoint s = c.setSavepoint("sp1");
            execute("insert into keyed (n) values ('not')");
            c.rollback(s);
            c.commit();
            equal(query("select n from keyed where n in (?, ?)", "kept", "not"), list(list("kept")));
            fails("23505", () -> execute("insert into kinds (n) values ('o''x1')"));
            fails("25P02", () -> execute("select 1"));
            c.rollback();
            c.setReadOnly(true);
            fails("25006", () -> execute("delete from keyed"));
            c.rollback();
            c.setReadOnly(false);
            c.setAutoCommit(true);
        });

        check("rows by fetch size, through a cursor", () -> {
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.setFetchSize(10);
                ResultSet r = s.executeQuery("select i from generate_series(1, 35) as i");
                int sum = 0;
                while (r.next()) sum += r.getInt(1);
                equal(sum, 630);
            }
            c.commit();
            c.setAutoCommit(true);
        });

        check("result sets that are updated, scrolled", () -> {
            try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
                ResultSet r = s.executeQuery("select id, note, kind from child");
                r.moveToInsertRow();
                r.updateString("note", "put in");
                r.updateInt("kind", 1);
                r.insertRow();
                r.beforeFirst();
                r.next();
                r.updateString("note", "changed");
                r.updateRow();
                equal(rows(c.createStatement().executeQuery("select id, note from child")), list(list(1, "changed")));
                r.deleteRow();
            }
            equal(query("select count(*) from child"), list(list(0L)));
        });

        check("batches, and the one that fails", () -> {
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement("insert into child (kind, note) values (?, ?)")) {
                for (int i = 1; i <= 300; i++) { s.setInt(1, i % 8 + 1); s.setString(2, "n" + i); s.addBatch(); }
                equal(s.executeBatch().length, 300);
                c.commit();
                for (int i = 0; i < 3; i++) { s.setInt(1, i == 1 ? 99 : 1); s.setString(2, "bad"); s.addBatch(); }
                BatchUpdateException error = (BatchUpdateException) fails("23503", s::executeBatch);
                equal(error.getNextException() != null, true);
            }
            c.rollback();
            c.setAutoCommit(true);
            equal(query("select count(*), count(distinct kind) from child"), list(list(300L, 8L)));
        });

        check("COPY in and out", () -> {
            var copy = ((PGConnection) c).getCopyAPI();
            equal(copy.copyIn("copy child (kind, note) from stdin", new StringReader("1\tp\n2\t\\N\n")), 2L);
            StringWriter out = new StringWriter();
            copy.copyOut("copy (select kind, note from child where id > 301 order by id desc limit 2) to stdout with csv header", out);
            equal(out.toString(), "kind,note\n2,\n1,p\n");
        });

        check("parameters typed by where they stand", () -> {
            equal(query("select n from kinds where id = any(?) order by id limit ?", c.createArrayOf("int4", new Integer[] {2, 1}), 1), list(list("o'x1")));
            equal(query("select count(*) from kinds where ts > ?", Timestamp.valueOf("2020-01-01 00:00:00")), list(list(8L)));
            equal(query("select coalesce(?, 'none') || 'x'", "a"), list(list("ax")));
            equal(query("select {fn ucase(n)} from kinds where {d '2026-01-31'} = dt and id = ?", 1), list(list("O'X1")));
        });

        check("errors with their fields", () -> {
            SQLException error = fails("23505", () -> execute("insert into kinds (n) values ('o''x1')"));
            var told = ((org.postgresql.util.PSQLException) error).getServerErrorMessage();
            equal(list(told.getConstraint(), told.getTable(), told.getDetail()), list("kinds_n_key", "kinds", "Key (n)=(o'x1) already exists."));
            fails("42P01", () -> execute("select * from nowhere"));
            fails("22012", () -> query("select 1 / ?", 0));
        });

        check("cancel, by a call and by a time limit", () -> {
            try (Statement s = c.createStatement()) {
                new Timer(true).schedule(new TimerTask() { public void run() { try { s.cancel(); } catch (SQLException ignored) { } } }, 300);
                fails("57014", () -> s.execute("with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) from n"));
                s.setQueryTimeout(1);
                fails("57014", () -> s.execute("with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) from n"));
            }
        });

        check("is it alive, the schema, the name of the application", () -> {
            equal(c.isValid(2), true);
            c.setSchema("public");
            equal(c.getSchema(), "public");
            c.setClientInfo("ApplicationName", "mine");
            equal(query("show application_name"), list(list("mine")));
        });

        check("enums", () -> {
            execute("create type mood as enum ('sad', 'ok'); create table moods (m mood)");
            try (PreparedStatement s = c.prepareStatement("insert into moods values (?::mood)")) { s.setString(1, "ok"); s.executeUpdate(); }
            try (PreparedStatement s = c.prepareStatement("insert into moods values (?)")) { s.setObject(1, "sad", Types.OTHER); s.executeUpdate(); }
            equal(query("select m from moods order by m"), list(list("sad"), list("ok")));
        });

        c.close();
        System.exit(failed > 0 ? 1 : 0);
    }
}
