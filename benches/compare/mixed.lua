-- Nine reads by key, then a write that commits by itself.

require("oltp_common")

sysbench.cmdline.options.point_selects[2] = 9
sysbench.cmdline.options.index_updates[2] = 1

function prepare_statements()
   prepare_point_selects()
   prepare_index_updates()
end

function event()
   execute_point_selects()
   execute_index_updates()
end
