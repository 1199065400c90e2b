"""Answers: files of them come in, each line is read and judged, and what is accepted becomes annotations.

answer_files   which files there are, and the lines of one
importing      files that were fetched elsewhere are copied in, with their maps
mapping        a map: what is said about lines whose ids are not ours
replies        a line of a file, whatever vendor wrote it, becomes a `Reply`
judging        whether an answer fits its stage's form, and what the checks hold against it
ledger         what became of every request and line, looked up by programs
ledger_tables  the tables behind it
intake         what is new in the files, read into these tables
import_report  what became of the lines of some files, for people and programs
gathering      a build's own view of all answers
compiling      accepted answers become annotations
"""
