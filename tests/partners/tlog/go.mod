module example.org/tlog

go 1.21

require golang.org/x/mod v0.22.0
