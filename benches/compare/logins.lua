-- Each event is a new connection, one row by its key, and the end of the connection.

sysbench.cmdline.options = {
   tables = {"Number of tables", 1},
   table_size = {"Rows of each", 10000},
}

function thread_init()
   drv = sysbench.sql.driver()
   con = drv:connect()
end

function event()
   con:disconnect()
   con = drv:connect()
   local table = sysbench.rand.uniform(1, sysbench.opt.tables)
   local id = sysbench.rand.uniform(1, sysbench.opt.table_size)
   con:query(string.format("SELECT c FROM sbtest%d WHERE id = %d", table, id))
end

function thread_done()
   con:disconnect()
end
