;; neighbour: holds a secret, has it shown by the host function `log`, says that it has, and waits. SECRET
;; is replaced by bytes, of which there are 32.
(module
  (import "cofferdam" "log" (func $log (param i32 i32 i32)))
  (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 64) "SECRET")
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (call $log (i32.const 2) (i32.const 64) (i32.const 32))
    (drop (call $recv (i32.const 0) (i32.const 8) (i32.const -1)))
    (i32.const 0)))
