END;
END;
BEGIN;
COMMIT;
select;
table d
