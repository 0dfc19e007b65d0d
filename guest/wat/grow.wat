;; grow: grows its memory by 1 MiB at a time, and writes to each piece, until `memory.grow` says no; then it executes
;; `unreachable`.
;;
;; Must happen: the job ends in MemoryLimit, and the worker never holds more than the limit (without one: 4 GiB). The
;; write makes the pages real, so that a limit on address space alone does not pass for one on memory.
(module
  (memory (export "memory") 1)
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (local $pages i32)
    (block $denied
      (loop $again
        (local.set $pages (memory.grow (i32.const 16)))
        (br_if $denied (i32.eq (local.get $pages) (i32.const -1)))
        (memory.fill
          (i32.mul (local.get $pages) (i32.const 65536)) (i32.const 0xff) (i32.const 0x100000))
        (br $again)))
    unreachable))
