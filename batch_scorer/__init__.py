"""The batch lane: files of records in, files of scores and rejected rows out."""
