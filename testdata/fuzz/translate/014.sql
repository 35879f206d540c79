copy pt(n,i8) from stdin;
select 1 union select 'a';
select 'not a date'::date;
CLOSE "c_7fb893bd7550_1";
SAVEPOINT sa_savepoint_1;
CLOSE "c_7f1ce37fead0_1"
