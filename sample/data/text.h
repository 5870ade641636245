// `build/data text`: the features of every caption of a data set, computed once by a text encoder, so that a
// text-to-image transformer is trained without it.
#pragma once

class CommandLine;

void add_text_job(CommandLine& app);
