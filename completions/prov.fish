complete --keep-order --exclusive --command prov --arguments "(COMPLETE=fish prov -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
