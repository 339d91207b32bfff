/* Defines the functions of FUNCTIONS and a way to say what each calls. */
#define DEFINE(name, parameters, arguments) \
    static int (*to_##name) parameters; \
    int name parameters { return to_##name arguments; }
FUNCTIONS(DEFINE)

#define ASSIGN(name, parameters, arguments) \
    if (strcmp(function, #name) == 0) { to_##name = (int (*) parameters)target; return 0; }
int orthrus_register(const char *function, void *target)
{
    FUNCTIONS(ASSIGN)
    return 1;
}

#define CHECK(name, parameters, arguments) if (!to_##name) return #name;
const char *orthrus_missing(void)
{
    FUNCTIONS(CHECK)
    return 0;
}
