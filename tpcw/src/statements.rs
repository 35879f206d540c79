//! All statements of the shop. Texts are those that `sql-mixer-rules/tpcw.toml` knows.
//!
//! What a statement reads and writes stands in it; identifiers come from identity columns and are returned.

use crate::session::Statement;

/// Five items that go with one.
pub static RELATED: Statement = Statement::same(
    "SELECT j.i_id, j.i_thumbnail FROM item i, item j WHERE (i.i_related1 = j.i_id OR i.i_related2 = j.i_id \
     OR i.i_related3 = j.i_id OR i.i_related4 = j.i_id OR i.i_related5 = j.i_id) AND i.i_id = $1 ORDER BY j.i_id",
);
/// A customer's name.
pub static NAME: Statement = Statement::same("SELECT c_fname, c_lname FROM customer WHERE c_id = $1");
/// The newest items of a subject.
pub static NEW_PRODUCTS: Statement = Statement::same(
    "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND \
     i_subject = $1 ORDER BY i_pub_date DESC, i_title, i_id LIMIT 50",
);
/// The items of a subject that sold best in the last 3,333 orders.
pub static BEST_SELLERS: Statement = Statement::same(
    "SELECT i_id, i_title, a_fname, a_lname FROM item, author, order_line WHERE i_id = ol_i_id AND \
     i_a_id = a_id AND ol_o_id > (SELECT max(o_id) - 3333 FROM orders) AND i_subject = $1 \
     GROUP BY i_id, i_title, a_fname, a_lname ORDER BY sum(ol_qty) DESC, i_id LIMIT 50",
);
/// All about an item.
pub static BOOK: Statement = Statement::same("SELECT * FROM item, author WHERE i_a_id = a_id AND i_id = $1");
/// Items of a subject.
pub static BY_SUBJECT: Statement = Statement::same(
    "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND i_subject = $1 \
     ORDER BY i_title, i_id LIMIT 50",
);
/// Items whose title has a word.
pub static BY_TITLE: Statement = Statement::same(
    "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND i_title LIKE $1 \
     ORDER BY i_title, i_id LIMIT 50",
);
/// Items whose author's name has a word.
pub static BY_AUTHOR: Statement = Statement::same(
    "SELECT i_id, i_title, a_fname, a_lname FROM item, author WHERE i_a_id = a_id AND a_lname LIKE $1 \
     ORDER BY i_title, i_id LIMIT 50",
);

/// A new cart.
pub static NEW_CART: Statement = Statement::differing(
    "INSERT INTO shopping_cart (sc_time) VALUES (now()) RETURNING sc_id",
    "INSERT INTO shopping_cart (sc_time) VALUES (CURRENT_TIMESTAMP) RETURNING sc_id",
);
/// One more of an item.
pub static ADD_LINE: Statement = Statement::same(
    "INSERT INTO shopping_cart_line (scl_sc_id, scl_i_id, scl_qty) VALUES ($1, $2, 1) \
     ON CONFLICT (scl_sc_id, scl_i_id) DO UPDATE SET scl_qty = shopping_cart_line.scl_qty + 1",
);
/// Another quantity of an item.
pub static CHANGE_LINE: Statement =
    Statement::same("UPDATE shopping_cart_line SET scl_qty = $1 WHERE scl_sc_id = $2 AND scl_i_id = $3");
/// The time when a cart was last used.
pub static STAMP: Statement = Statement::same("UPDATE shopping_cart SET sc_time = CURRENT_TIMESTAMP WHERE sc_id = $1");
/// A cart's lines with their items.
pub static READ_CART: Statement = Statement::same(
    "SELECT scl_i_id, scl_qty, i_title, i_cost, i_srp, i_backing FROM shopping_cart_line JOIN item \
     ON scl_i_id = i_id WHERE scl_sc_id = $1 ORDER BY scl_i_id",
);
/// Takes all lines out of a cart.
pub static EMPTY_CART: Statement = Statement::same("DELETE FROM shopping_cart_line WHERE scl_sc_id = $1");

/// A country.
pub static COUNTRY: Statement = Statement::same("SELECT co_id FROM country WHERE co_name = $1");
/// An address that is known already.
pub static ADDRESS: Statement = Statement::same(
    "SELECT addr_id FROM address WHERE addr_street1 = $1 AND addr_street2 = $2 AND addr_city = $3 AND \
     addr_state = $4 AND addr_zip = $5 AND addr_co_id = $6",
);
/// A new address.
pub static NEW_ADDRESS: Statement = Statement::same(
    "INSERT INTO address (addr_street1, addr_street2, addr_city, addr_state, addr_zip, addr_co_id) \
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING addr_id",
);
/// A new customer.
pub static NEW_CUSTOMER: Statement = Statement::same(
    "INSERT INTO customer (c_uname, c_passwd, c_fname, c_lname, c_addr_id, c_phone, c_email, c_since, \
     c_last_login, c_login, c_expiration, c_discount, c_balance, c_ytd_pmt, c_birthdate, c_data) VALUES \
     ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING c_id",
);
/// Who a user name belongs to, and the password.
pub static PASSWORD: Statement = Statement::same("SELECT c_id, c_passwd FROM customer WHERE c_uname = $1");
/// Two more hours for a customer's visit.
pub static REFRESH: Statement = Statement::differing(
    "UPDATE customer SET c_login = CURRENT_TIMESTAMP, c_expiration = CURRENT_TIMESTAMP + INTERVAL '2 hours' \
     WHERE c_id = $1",
    "UPDATE customer SET c_login = CURRENT_TIMESTAMP, c_expiration = datetime(CURRENT_TIMESTAMP, '+2 hours') \
     WHERE c_id = $1",
);
/// All about a customer.
pub static CUSTOMER: Statement = Statement::same(
    "SELECT * FROM customer, address, country WHERE c_addr_id = addr_id AND addr_co_id = co_id AND c_uname = $1",
);
/// A customer's discount, and the address for the bill.
pub static DISCOUNT: Statement = Statement::same("SELECT c_discount, c_addr_id FROM customer WHERE c_id = $1");

/// A new order.
pub static NEW_ORDER: Statement = Statement::differing(
    "INSERT INTO orders (o_c_id, o_date, o_sub_total, o_tax, o_total, o_ship_type, o_ship_date, o_bill_addr_id, \
     o_ship_addr_id, o_status) VALUES ($1, now(), $2, $3, $4, $5, now(), $6, $7, 'Pending') RETURNING o_id",
    "INSERT INTO orders (o_c_id, o_date, o_sub_total, o_tax, o_total, o_ship_type, o_ship_date, o_bill_addr_id, \
     o_ship_addr_id, o_status) VALUES ($1, CURRENT_TIMESTAMP, $2, $3, $4, $5, CURRENT_TIMESTAMP, $6, $7, 'Pending') \
     RETURNING o_id",
);
/// A line of a new order.
pub static NEW_LINE: Statement = Statement::same(
    "INSERT INTO order_line (ol_id, ol_o_id, ol_i_id, ol_qty, ol_discount, ol_comments) VALUES \
     ($1, $2, $3, $4, $5, $6)",
);
/// How many of an item there are.
pub static STOCK: Statement = Statement::same("SELECT i_stock FROM item WHERE i_id = $1");
/// Takes some; 21 new ones come when fewer than 10 would be left.
pub static TAKE_STOCK: Statement = Statement::same(
    "UPDATE item SET i_stock = CASE WHEN i_stock - $1 < 10 THEN i_stock - $1 + 21 ELSE i_stock - $1 END \
     WHERE i_id = $2",
);
/// The payment of a new order.
pub static NEW_CARD: Statement = Statement::differing(
    "INSERT INTO cc_xacts (cx_o_id, cx_type, cx_num, cx_name, cx_expire, cx_xact_amt, cx_xact_date, cx_co_id) \
     VALUES ($1, $2, $3, $4, $5, $6, now(), (SELECT addr_co_id FROM address WHERE addr_id = $7))",
    "INSERT INTO cc_xacts (cx_o_id, cx_type, cx_num, cx_name, cx_expire, cx_xact_amt, cx_xact_date, cx_co_id) \
     VALUES ($1, $2, $3, $4, $5, $6, CURRENT_TIMESTAMP, (SELECT addr_co_id FROM address WHERE addr_id = $7))",
);
/// A customer's newest order.
pub static LAST_ORDER: Statement = Statement::same(
    "SELECT * FROM orders, cc_xacts, address ship, address bill WHERE cx_o_id = o_id AND \
     o_ship_addr_id = ship.addr_id AND o_bill_addr_id = bill.addr_id AND \
     o_id = (SELECT max(o_id) FROM orders WHERE o_c_id = $1)",
);
/// Its lines.
pub static LAST_LINES: Statement = Statement::same(
    "SELECT * FROM order_line, item WHERE ol_i_id = i_id AND \
     ol_o_id = (SELECT max(o_id) FROM orders WHERE o_c_id = $1) ORDER BY ol_id",
);

/// New data of an item.
pub static CHANGE_ITEM: Statement = Statement::same(
    "UPDATE item SET i_cost = $1, i_image = $2, i_thumbnail = $3, i_pub_date = CURRENT_DATE WHERE i_id = $4",
);
/// What those who bought an item in the last 10,000 orders bought most.
pub static BOUGHT_TOGETHER: Statement = Statement::same(
    "SELECT ol_i_id FROM orders, order_line WHERE orders.o_id = order_line.ol_o_id AND \
     NOT (order_line.ol_i_id = $1) AND orders.o_c_id IN (SELECT o_c_id FROM orders, order_line WHERE \
     orders.o_id = order_line.ol_o_id AND orders.o_id > (SELECT MAX(o_id) - 10000 FROM orders) AND \
     order_line.ol_i_id = $1) GROUP BY ol_i_id ORDER BY SUM(ol_qty) DESC, ol_i_id LIMIT 5",
);
/// The items that go with one.
pub static RELATE: Statement = Statement::same(
    "UPDATE item SET i_related1 = $1, i_related2 = $2, i_related3 = $3, i_related4 = $4, i_related5 = $5 \
     WHERE i_id = $6",
);
