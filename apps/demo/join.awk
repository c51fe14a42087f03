# Joins the files of a page: a line "@include NAME" stands for the file of that name, of those that are built in the folder `built`.
$1 != "@include" { print; next }
{ file = ($2 ~ /b64$/ ? built : "apps/demo/") $2; while ((getline line < file) > 0) print line; close(file) }
