module starling

go 1.26
