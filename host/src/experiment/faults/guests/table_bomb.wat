;; Takes elements of a table, a million at a time, until it gets no more; then it gives up.
(table $elements 1 funcref)
(func $misbehave (result i32)
  (loop $again
    (br_if $again
      (i32.ne (table.grow $elements (ref.null func) (i32.const 1000000)) (i32.const -1))))
  unreachable)
