/* Stands in for a library that is only loaded: says so. */
#include "fake.h"

#define TEXT(name) #name
#define TEXT_OF(name) TEXT(name)

__attribute__((constructor)) static void loaded(void) {
    note(TEXT_OF(NAME) " is loaded");
}
