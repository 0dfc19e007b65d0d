;; Calls through a table with another signature than the function has.
(type $nothing (func))
(table 1 funcref)
(elem (i32.const 0) $misbehave)
(func $misbehave (result i32)
  (call_indirect (type $nothing) (i32.const 0))
  (i32.const 0))
