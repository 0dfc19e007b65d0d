;; Logs what would clear a terminal, ring its bell and begin a second line.
(data (i32.const 100) "\1b[2J\1b[31mred\07\r\nnext")
(func $misbehave (result i32)
  (call $log (i32.const 2) (i32.const 100) (i32.const 19))
  (i32.const 0))
